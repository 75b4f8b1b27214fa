import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import policy_file
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from acclimate_contract import (
    QUADROTOR,
    ActionSpec,
    ContractError,
    GoldenSequence,
    Manifest,
    MemorySpec,
    RateSpec,
)

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, max_value=1e9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: value == value and "inf" not in repr(value))


def arrays(*shape: int) -> st.SearchStrategy[np.ndarray]:
    return npst.arrays(np.float32, shape, elements=FINITE)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    vocabulary = QUADROTOR.signals
    signals = draw(st.permutations(vocabulary))[: draw(st.integers(1, len(vocabulary)))]
    steps = draw(st.integers(2, 5))
    resets = np.zeros(steps, dtype=bool)
    resets[draw(st.integers(1, steps - 1))] = True
    low, mid, high = sorted(draw(st.tuples(*[st.floats(1e-3, 1e6)] * 3)))
    return Manifest(
        name=draw(st.text()),
        family=QUADROTOR,
        signals=tuple(signals),
        action=QUADROTOR.action,
        memory=tuple(
            MemorySpec(input=f"m{i}", output=f"next_m{i}", initial=draw(arrays(*shape)))
            for i, shape in enumerate(
                draw(st.lists(st.sampled_from([(1,), (4,), (2, 3)]), max_size=3))
            )
        ),
        rate=RateSpec(nominal_hz=mid, min_hz=low, max_hz=high),
        num_parameters=draw(st.integers(0, 10**9)),
        golden=GoldenSequence(
            inputs={s.name: draw(arrays(steps, *s.shape)) for s in signals},
            actions=draw(arrays(steps, 4)),
            resets=resets,
        ),
        distribution=draw(st.dictionaries(st.text(), JSON_VALUES, max_size=3)),
        provenance=draw(st.dictionaries(st.text(), JSON_VALUES, max_size=3)),
        licence=draw(st.text()),
    )


@settings(max_examples=60, deadline=None)
@given(manifests())
def test_round_trip_keeps_everything(manifest: Manifest) -> None:
    again = Manifest.from_json(manifest.to_json())
    assert again == manifest
    assert hash(again) == hash(manifest)
    for name, values in manifest.golden.inputs.items():
        assert again.golden.inputs[name].dtype == np.float32
        np.testing.assert_array_equal(again.golden.inputs[name], values)
    for ours, theirs in zip(again.memory, manifest.memory, strict=True):
        np.testing.assert_array_equal(ours.initial, theirs.initial)


def test_equality_sees_a_changed_weightless_detail() -> None:
    manifest = policy_file.Recurrence().manifest()
    assert manifest != replace(manifest, licence="MIT")
    assert manifest != "a manifest"


@given(st.text())
def test_text_that_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(ContractError):
        Manifest.from_json(text)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_field_replaced_by_anything_is_refused_or_understood(data: st.DataObject) -> None:
    """No field, of whatever type, may end in a traceback of Python's own."""
    fields = json.loads(policy_file.Recurrence().manifest().to_json())
    name = data.draw(st.sampled_from(sorted(fields)))
    fields[name] = data.draw(JSON_VALUES)
    with suppress(ContractError):
        assert isinstance(Manifest.from_json(json.dumps(fields)), Manifest)


def test_deeply_nested_json_is_refused() -> None:
    with pytest.raises(ContractError, match="not JSON"):
        Manifest.from_json("[" * 100_000)


def edit(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.update(fields)


def drop(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.pop(name) and None


def within(*keys: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: Any) -> None:
        for key in keys[:-1]:
            data = data[key]
        data[keys[-1]] = value

    return change


REFUSALS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "newer schema": (edit(schema=2), "schema version 2 .*upgrade acclimate"),
    "no schema": (drop("schema"), "schema version None"),
    "unknown family": (edit(family="submarine"), "'submarine'.*does not know.*quadrotor"),
    "family is a list": (edit(family=[]), "malformed"),
    "no rate": (drop("rate"), "malformed .KeyError: 'rate'"),
    "unknown rate": (within("rate", "typical_hz", value=3), "malformed .*typical_hz"),
    "zero rate": (within("rate", "nominal_hz", value=0), "0 < min_hz <= nominal_hz <= max_hz"),
    "rate beyond its maximum": (within("rate", "nominal_hz", value=2e3), "nominal_hz <= max_hz"),
    "rate is nan": (within("rate", "min_hz", value=float("nan")), "0 < min_hz"),
    "no signals": (edit(signals=[]), "reads no signals"),
    "unknown signal": (within("signals", 0, "name", value="wind"), "'wind'.*does not have"),
    "other shape": (within("signals", 1, "shape", value=[9]), r"orientation.*\(9,\).*\(4,\)"),
    "other unit": (within("signals", 0, "unit", value="ft"), "position_error.* in ft.* in m,"),
    "other frame": (within("signals", 0, "frame", value="body"), "frame body in the policy"),
    "signal without a unit": (
        within("signals", 0, value={"name": "position_error", "shape": [3]}),
        "malformed",
    ),
    "channels in another order": (
        within("action", "channels", value=list(reversed(QUADROTOR.action.channels))),
        r"\['front_left', 'back_left', 'back_right', 'front_right'\]",
    ),
    "other range": (within("action", "low", value=0.0), "from 0.0 to 1.0.*takes -1.0 to 1.0"),
    "memory from nan": (
        within("memory", 0, "initial", value=[0, 0, float("nan"), 0]),
        "'memory' starts from values that are not finite",
    ),
    "memory beyond float32": (within("memory", 0, "initial", value=[1e300]), "not finite"),
    "ragged memory": (within("memory", 0, "initial", value=[[1], [1, 2]]), "malformed"),
    "memory named like a signal": (
        within("memory", 0, "input", value="orientation"),
        r"\['orientation'\] for more than one tensor",
    ),
    "golden without a signal": (
        lambda data: data["golden"]["inputs"].pop("orientation") and None,
        "golden sequence records",
    ),
    "golden of another width": (within("golden", "actions", value=[[0.0] * 3] * 12), "records"),
    "golden of another length": (within("golden", "actions", value=[[0.0] * 4] * 11), "records"),
    "empty golden": (within("golden", "actions", value=[]), "malformed|records"),
    "golden is nan": (
        within("golden", "actions", 3, value=[float("nan")] * 4),
        "not finite and would prove nothing",
    ),
    "golden without a reset": (within("golden", "resets", value=[]), "no reset"),
    "golden reset only at the start": (within("golden", "resets", value=[0]), "no reset"),
    "golden reset beyond the end": (within("golden", "resets", value=[12]), "reset at step 12"),
    "golden reset before the start": (within("golden", "resets", value=[-1]), "reset at step -1"),
}


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("case", REFUSALS)
def test_refuses(case: str) -> None:
    change, message = REFUSALS[case]
    data = json.loads(policy_file.Recurrence().manifest().to_json())
    change(data)
    with pytest.raises(ContractError, match=message) as error:
        Manifest.from_json(json.dumps(data))
    assert "Fix:" in str(error.value)


def test_a_wrong_manifest_cannot_be_written_either() -> None:
    """The exporter meets the same checks as the robot, and earlier."""
    with pytest.raises(ContractError, match=r"takes -1\.0 to 1\.0"):
        policy_file.Recurrence().manifest(
            action=ActionSpec(
                channels=QUADROTOR.action.channels, low=0.0, high=1.0, description="thrust"
            )
        )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), np.float32(1)])
def test_what_json_cannot_carry_is_refused_at_writing(value: object) -> None:
    manifest = policy_file.Recurrence().manifest(evaluation={"lost": value})
    with pytest.raises(ContractError, match=r"cannot be written as JSON.*None where there is no"):
        manifest.to_json()


def test_period_is_the_inverse_of_the_nominal_rate() -> None:
    assert RateSpec(nominal_hz=250.0, min_hz=1.0, max_hz=500.0).period_s == 0.004
