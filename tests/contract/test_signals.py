import pytest

from acclimate_contract import (
    HEXAROTOR,
    PREVIEW_TIMES_S,
    PREVIOUS_ACTION,
    QUADROTOR,
    REFERENCE_PREVIEW,
    ROBOT_FAMILIES,
    TIME_STEP,
    ConfigError,
    RobotFamily,
    multirotor_family,
    robot_family,
)


def test_names_are_unique_in_every_family() -> None:
    for family in ROBOT_FAMILIES.values():
        for names in ([s.name for s in family.signals], list(family.action.channels)):
            assert len(set(names)) == len(names)


def test_every_signal_says_unit_frame_and_meaning() -> None:
    for family in ROBOT_FAMILIES.values():
        for signal in family.signals:
            assert signal.unit
            assert signal.frame in {"world", "body", "body to world", "none"}
            assert signal.description.endswith(".")


def test_runtime_signals_are_in_the_vocabulary() -> None:
    assert QUADROTOR.signal(PREVIOUS_ACTION).shape == (len(QUADROTOR.action.channels),)
    assert QUADROTOR.signal(TIME_STEP).shape == (1,)
    with pytest.raises(KeyError):
        QUADROTOR.signal("wind")


@pytest.mark.parametrize(("num_motors", "family"), [(4, QUADROTOR), (6, HEXAROTOR)])
def test_families_are_found_by_name_and_by_motors(num_motors: int, family: RobotFamily) -> None:
    assert robot_family(family.name) is family
    assert multirotor_family(num_motors) is family
    assert len(family.action.channels) == num_motors


def test_unknown_families_are_told_what_exists() -> None:
    with pytest.raises(ConfigError, match=r"'octorotor'\. Fix: use one of quadrotor, hexarotor"):
        robot_family("octorotor")
    with pytest.raises(ConfigError, match=r"8 motors.* Fix: use 4 or 6"):
        multirotor_family(8)


def test_preview_has_one_row_per_time_and_says_them_in_words() -> None:
    signal = QUADROTOR.signal(REFERENCE_PREVIEW)
    assert signal.shape == (len(PREVIEW_TIMES_S), 3)
    assert list(PREVIEW_TIMES_S) == sorted(PREVIEW_TIMES_S)
    *first, last = map(str, PREVIEW_TIMES_S)
    assert f"{', '.join(first)} and {last} s ahead" in signal.description
