"""The page about the environments says what is so."""

import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from acclimate_sim.envs import opengl
from acclimate_sim.envs.settings import MultirotorEnvCfg
from acclimate_sim.envs.vector import MultirotorVectorEnv

PAGE = (Path(__file__).parents[2] / "docs" / "gymnasium.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_code_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, as a reader would type it."""
    pytest.importorskip("moviepy")
    opengl.working_way()
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    for block in BLOCKS:
        exec(compile(block, "docs/gymnasium.md", "exec"), namespace)
    assert len(BLOCKS) == 4
    assert namespace["info"] == {"robot_seed": namespace["seed"], "robot": namespace["robot"]}
    assert list(tmp_path.glob("videos/*.mp4"))


def test_the_table_lists_every_keyword_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", PAGE, flags=re.MULTILINE))
    shown = {name: default.strip("`") for name, default in rows.items()}
    made = inspect.signature(MultirotorVectorEnv).parameters
    assert shown.keys() == {field.name for field in fields(MultirotorEnvCfg)} | {
        "render_mode",
        "autoreset_mode",
        "tensors",
    }
    cfg = MultirotorEnvCfg()
    for name in ("space", "engine", "observation", "context", "device"):
        assert shown[name] == f'"{getattr(cfg, name)}"'
    assert shown["force"] == repr(cfg.force)
    assert shown["tensors"] == repr(made["tensors"].default)
    assert shown["autoreset_mode"] == f'"{made["autoreset_mode"].default.value}"'
