"""What docs/randomization.md shows is what happens."""

import json
import re
from pathlib import Path

from acclimate_sim import randomization
from acclimate_sim.randomization import ParameterSpace
from acclimate_sim.randomization.expression import FUNCTIONS
from acclimate_sim.randomization.schema import DISTRIBUTIONS

PAGE = (Path(__file__).parents[2] / "docs" / "randomization.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_code_of_the_page_runs_from_top_to_bottom() -> None:
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(block, names)
    assert {"space", "alone", "half_way", "text", "heavy"} <= names.keys()


def test_the_files_of_the_page_are_read() -> None:
    (text,) = blocks("json")
    space = ParameterSpace.from_json(json.loads(text))
    assert space.to_json() == json.loads(text)


def test_the_page_names_every_distribution_and_function() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE))
    assert {kind.__name__ for kind in DISTRIBUTIONS.values()} <= named
    assert set(FUNCTIONS) <= named


def test_the_package_exports_what_it_says() -> None:
    assert all(hasattr(randomization, name) for name in randomization.__all__)
