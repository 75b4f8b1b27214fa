"""What the README tells people to type exists."""

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
RESULTS = ROOT / "benchmarks" / "results"
CALLS = re.findall(r"^\.venv/bin/acclimate (\S+)(.*?)(?:#.*)?$", README, flags=re.MULTILINE)
TARGETS = re.findall(r"^make (\w+)", README, flags=re.MULTILINE)


@cache
def help_of(verb: str) -> str:
    command = [sys.executable, "-m", "acclimate_deploy.command", verb, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_readme_shows_commands() -> None:
    assert {verb for verb, _ in CALLS} >= {"evaluate", "fly", "inspect", "selftest", "report"}
    assert {"demo", "test", "train"} <= set(TARGETS)


@pytest.mark.parametrize(("verb", "arguments"), CALLS)
def test_verbs_and_flags_in_the_readme_exist(verb: str, arguments: str) -> None:
    for flag in re.findall(r"--[a-z-]+", arguments):
        assert flag in help_of(verb), f"acclimate {verb} has no {flag}"


def test_make_targets_in_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in TARGETS:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_links_in_the_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", *ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name} links to {link}"


def test_speeds_in_the_readme_are_those_of_the_benchmarks() -> None:
    """Every number of the table stands in a committed result, rounded as it is shown."""
    table = README.split("<!-- speed -->")[1]
    shown = {
        number
        for row in table.strip().splitlines()[2:]
        for cell in row.split("|")[2:4]
        for number in re.findall(r"\d+(?:\.\d+)?", cell)
    }
    recorded = [
        float(number)
        for case in ("training_iteration", "sim_speed", "runtime_step", "control_loop")
        for number in re.findall(r"\d+(?:\.\d+)?", (RESULTS / f"{case}.json").read_text())
    ]
    texts = {f"{x:g}" for x in recorded} | {f"{x / 1000:.2f}" for x in recorded}
    millions = {f"{x / 1e6:.1f}" for x in recorded} | {f"{x / 1e6:.3f}" for x in recorded}
    assert len(shown) > 8
    assert shown <= texts | millions


def figures_of(case: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{case}.json").read_text())["figures"]


def rows_between(mark: str) -> dict[str, list[str]]:
    """Cells of a table of the README, by the first cell of their row."""
    rows = re.findall(r"^\| (.*) \|$", README.split(f"<!-- {mark} -->")[1], flags=re.MULTILINE)
    return {name: cells for name, *cells in (row.split(" | ") for row in rows[1:])}


def test_gap_in_the_readme_is_that_of_the_benchmark() -> None:
    figures, rows = figures_of("adaptation_gap"), rows_between("gap")
    assert rows.keys() == figures["parameters"].keys()
    for name, cells in rows.items():
        expected = []
        for family in ("in distribution", "held out"):
            flown, gap = figures[family]["variants"][name], figures[family]["gap"]["closed"]
            share = gap.get(name)
            interval = share and [round(100 * share[bound]) for bound in ("low", "high")]
            expected += [
                f"{flown['cost']:.2f}",
                f"{100 * flown['lost']:.1f} %",
                f"{100 * share['share']:.0f} % ({interval[0]} to {interval[1]})" if share else "-",
            ]
        assert cells == expected, name


def test_algorithms_in_the_readme_are_those_of_the_benchmark() -> None:
    figures, rows = figures_of("algorithms"), rows_between("algorithms")
    flown = {n for n, told in figures.items() if isinstance(told, dict) and "terminated" in told}
    assert rows.keys() == flown
    for name, cells in rows.items():
        told = figures[name]
        assert cells == [
            str(told["teachers"]),
            str(told["core_minutes"]),
            f"{100 * told['terminated']:.1f} %",
            f"{100 * told['lost']:.1f} %",
            f"{told['final_error_median_m']:.3f} / {told['final_error_p90_m']:.3f} m",
            f"{told['figure_eight_10s_rmse_median_m']:.3f} / "
            f"{told['figure_eight_5.5s_rmse_median_m']:.3f} m",
        ], name
