"""The released policy keeps what its card and this project promise."""

import hashlib
import re
from pathlib import Path

import pytest
import torch

from acclimate_deploy.policy import load_policy
from acclimate_sim.quadrotor import InitialStates, external_force, published, reset, sample
from acclimate_sim.references import hover
from acclimate_training.evaluation.card import CARD, RECORD, render
from acclimate_training.evaluation.evaluate import read_record, summary
from acclimate_training.evaluation.figures import hold_figures
from acclimate_training.evaluation.flights import fly
from acclimate_training.evaluation.pilots import onnx_pilot

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models" / "quadrotor-hover"
POLICY = MODEL / "policy.onnx"


def test_it_is_no_larger_than_raptor() -> None:
    assert load_policy(POLICY, family="quadrotor").manifest.num_parameters <= 2084


def test_record_belongs_to_the_file_and_card_to_the_record() -> None:
    record = read_record(MODEL / RECORD)
    manifest = load_policy(POLICY).manifest
    assert record["policy_sha256"] == hashlib.sha256(POLICY.read_bytes()).hexdigest()
    assert manifest.evaluation == summary(record)
    assert (MODEL / CARD).read_text() == render(manifest, record)


def test_recorded_figures_meet_the_bar() -> None:
    hold = read_record(MODEL / RECORD)["figures"]["policy"]["hold"]
    assert hold["lost"] < 0.01
    assert hold["settled_0.2m"] > 0.90


def test_fresh_robots_confirm_the_record() -> None:
    """512 robots that no record has seen; tolerance of three standard errors on the shares."""
    n = 512
    robots = sample(published(), n, torch.Generator().manual_seed(2024)).to(torch.float32)
    like = robots.mass_kg
    flight = fly(
        onnx_pilot(POLICY)(n),
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
    """The README's table of figures is the first part of the card's."""
    readme, card = (ROOT / "README.md").read_text(), (MODEL / CARD).read_text()
    rows = re.findall(r"^\| .* \|$", readme.split("<!-- figures -->")[1], flags=re.MULTILINE)
    assert len(rows) > 4
    missing = [row for row in rows if row not in card]
    assert not missing


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
