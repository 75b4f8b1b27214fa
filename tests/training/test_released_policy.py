"""The released policy keeps what its card and this project promise."""

import hashlib
import re
from pathlib import Path

import pytest
import torch

from acclimate_deploy.policy import load_policy
from acclimate_sim.multirotor import InitialStates, external_force, published, reset, sample
from acclimate_sim.multirotor.distribution import with_motors
from acclimate_sim.references import hover
from acclimate_training.evaluation.card import CARD, RECORD, render
from acclimate_training.evaluation.evaluate import read_record, summary
from acclimate_training.evaluation.figures import hold_figures
from acclimate_training.evaluation.flights import fly
from acclimate_training.evaluation.pilots import onnx_pilot
from acclimate_training.evaluation.table import population_rows

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models"
SIZES = {"quadrotor-tiny": 2_084, "quadrotor": 100_000, "hexarotor": 100_000}
"""Parameters at most; RAPTOR has 2,084."""
RIVALS = ("quadrotor-tiny", "quadrotor")
"""Those that fly what RAPTOR flies."""

each_model = pytest.mark.parametrize("model", [MODELS / name for name in SIZES], ids=list(SIZES))
each_rival = pytest.mark.parametrize("model", [MODELS / name for name in RIVALS], ids=RIVALS)


def test_every_model_is_looked_after() -> None:
    assert {path.name for path in MODELS.iterdir()} == set(SIZES)


@each_model
def test_it_is_no_larger_than_it_may_be(model: Path) -> None:
    manifest = load_policy(model / "policy.onnx").manifest
    assert manifest.num_parameters <= SIZES[model.name]


@each_model
def test_record_belongs_to_the_file_and_card_to_the_record(model: Path) -> None:
    policy, record = model / "policy.onnx", read_record(model / RECORD)
    manifest = load_policy(policy).manifest
    assert record["policy_sha256"] == hashlib.sha256(policy.read_bytes()).hexdigest()
    assert manifest.evaluation == summary(record)
    assert (model / CARD).read_text() == render(manifest, record)


@each_rival
def test_it_beats_raptor_on_the_same_robots(model: Path) -> None:
    ours, theirs = read_record(model / RECORD)["figures"].values()
    for scenario, figure in (
        ("hold", "terminated"),
        ("hold", "lost"),
        ("hold", "final_error_median_m"),
        ("hold", "final_error_p90_m"),
        ("hold", "settling_time_0.1m_median_s"),
        ("hold", "action_change"),
        ("hold_noisy", "action_change"),
        ("hold_without_force", "final_error_median_m"),
        ("figure_eight_10s", "rmse_median_m"),
        ("figure_eight_5.5s", "rmse_median_m"),
    ):
        assert ours[scenario][figure] < theirs[scenario][figure], (scenario, figure)
    for name, platform in ours["platforms"].items():
        for figure, value in platform.items():
            if figure.endswith("_m"):
                assert value < theirs["platforms"][name][figure], (name, figure)


@each_model
def test_fresh_robots_confirm_the_record(model: Path) -> None:
    """512 robots that no record has seen; tolerance of three standard errors on the shares."""
    n = 512
    num_motors = len(load_policy(model / "policy.onnx").manifest.action.channels)
    space = with_motors(published(), num_motors)
    robots = sample(space, n, torch.Generator().manual_seed(2024)).to(torch.float32)
    like = robots.mass_kg
    flight = fly(
        onnx_pilot(model / "policy.onnx")(n),
        robots,
        reset(robots, InitialStates(), torch.Generator().manual_seed(2025)),
        external_force(robots, torch.Generator().manual_seed(2026)),
        hover(n, like=like),
        num_steps=500,
        max_distance_m=20 * robots.arm_length_m,
    )
    figures = hold_figures(flight)
    assert figures["lost"] < 0.01 + 3 * (0.01 * 0.99 / n) ** 0.5
    assert figures["settled_0.2m"] > 0.90 - 3 * (0.9 * 0.1 / n) ** 0.5


def test_readme_figures_are_those_of_the_record() -> None:
    """Each row of its table: the figure, both of our policies', and RAPTOR's."""
    records = [read_record(MODELS / name / RECORD) for name in RIVALS]
    tiny, large = ({row[0]: row[1:] for row in population_rows(record)} for record in records)
    readme = (ROOT / "README.md").read_text().split("<!-- figures -->")[1]
    rows = re.findall(r"^\| (.*) \|$", readme, flags=re.MULTILINE)
    assert len(rows) > 10
    for label, *shown in (row.split(" | ") for row in rows[1:]):
        ours = tiny[label][0] if label in tiny else "-"
        assert shown == [ours, *large[label]], label


def test_readme_figures_of_another_simulator_are_those_of_the_record() -> None:
    policy = MODELS / "quadrotor" / "policy.onnx"
    record = read_record(policy.parent / "evaluation-mujoco.json")
    assert record["policy_sha256"] == hashlib.sha256(policy.read_bytes()).hexdigest()
    figures = {row[0]: row[1:] for row in population_rows(record)}
    readme = (ROOT / "README.md").read_text().split("<!-- transfer -->")[1]
    rows = re.findall(r"^\| (.*) \|$", readme, flags=re.MULTILINE)
    assert len(rows) > 5
    for label, *shown in (row.split(" | ") for row in rows[1:]):
        assert shown == figures[label], label


@pytest.mark.slow
def test_make_train_reaches_the_bar(tmp_path: Path) -> None:
    """Train from nothing with the committed settings: minutes, hence outside the default run."""
    from acclimate_training.config import TrainCfg
    from acclimate_training.trainer import train

    path = train(TrainCfg(out=tmp_path / "run", seed=1))
    n = 1024
    robots = sample(published(), n, torch.Generator().manual_seed(1)).to(torch.float32)
    flight = fly(
        onnx_pilot(path)(n),
        robots,
        reset(robots, InitialStates(), torch.Generator().manual_seed(2)),
        external_force(robots, torch.Generator().manual_seed(3)),
        hover(n, like=robots.mass_kg),
        num_steps=500,
        max_distance_m=20 * robots.arm_length_m,
    )
    figures = hold_figures(flight)
    assert figures["lost"] < 0.02
    assert figures["settled_0.2m"] > 0.88
