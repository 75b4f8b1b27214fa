"""The picture of the first second."""

import json
from pathlib import Path

import pytest

from acclimate_training.commands import PlotCfg
from acclimate_training.errors import EvaluationError
from acclimate_training.evaluation.plot import PROPERTIES, plot

R2 = {"r2": [0.1, 0.9], "low": [0.0, 0.8], "high": [0.2, 1.0]}
TOLD = {"times_s": [0.1, 1.0], "robots": 300, "r2": {"mlp": {"memory": R2, "observation": R2}}}
UNKNOWN = {"times_s": [0.1, 1.0], "robots": 3, "r2": None}


def recorded(policy_file: Path, suites: dict[str, object]) -> None:
    record = {"figures": {"policy": {"suites": suites}}}
    (policy_file.parent / "evaluation.json").write_text(json.dumps(record))


def test_picture_shows_what_is_known_and_leaves_out_what_is_not(
    policy_file: Path, tmp_path: Path
) -> None:
    knowledge = {**dict.fromkeys(PROPERTIES, TOLD), "single_motors": UNKNOWN}
    recorded(policy_file, {"knowledge": knowledge})
    out = plot(PlotCfg(policy=policy_file, robots=4, out=tmp_path / "picture.svg"))
    assert out.read_text().startswith("<?xml")
    assert "<svg" in out.read_text()


def test_a_record_without_probes_is_refused(policy_file: Path, tmp_path: Path) -> None:
    recorded(policy_file, {})
    out = tmp_path / "picture.svg"
    with pytest.raises(EvaluationError, match=r"lacks the suite knowledge.*--suite full"):
        plot(PlotCfg(policy=policy_file, out=out))
    assert not out.exists()


def test_an_impossible_place_is_named(policy_file: Path, tmp_path: Path) -> None:
    recorded(policy_file, {"knowledge": dict.fromkeys(PROPERTIES, TOLD)})
    (tmp_path / "file").touch()
    with pytest.raises(EvaluationError, match=r"cannot write .*another --out"):
        plot(PlotCfg(policy=policy_file, robots=4, out=tmp_path / "file" / "picture.svg"))
