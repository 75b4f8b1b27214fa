"""The tables of docs/simulation_speed.md, made anew from the record."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "simulation_speed.md"
RECORD = RESULTS / "sim_speed.json"
COMMON = ("1", "16", "256", "4096")
QUIET = 0.9
"""Share of a core that one thread must have had: below, two cores were not there to be used."""


def rewritten(page: str, record: dict[str, Any]) -> str:
    """The page with what stands between its markers made anew."""
    figures = record["figures"]
    parts = {
        "conditions": _conditions(record),
        "engines": _engines(figures["engines"], _was_busy(record["machine"])),
        "peers": _peers(figures),
        "within": "\n".join(f"- {name}: {p['within']}." for name, p in figures["peers"].items()),
    }
    for mark, text in parts.items():
        marker = f"<!-- {mark} -->"
        before, _, after = page.split(marker)
        page = f"{before}{marker}\n{text}\n{marker}{after}"
    return page


def _conditions(record: dict[str, Any]) -> str:
    machine, versions = record["machine"], record["versions"]
    return (
        f"{machine['cores']} cores of a shared {machine['processor']} machine, load average "
        f"{machine['load_average']:.1f}; Python {versions['python']}, torch {versions['torch']}, "
        f"MuJoCo {versions['mujoco']}."
    )


def _was_busy(machine: dict[str, Any]) -> bool:
    """Whether others wanted cores: the peers, who come last, are a load of one by themselves."""
    return machine["load_average"] > 1.5


def _engines(engines: dict[str, Any], busy: bool) -> str:
    rows = [
        (
            name,
            f"{int(num_envs):,}",
            _rate(told["per_core_second"]),
            f"{1e9 / told['per_core_second']:,.0f}",
            _all_cores(told, busy),
            "-" if told["bytes_per_robot"] is None else f"{told['bytes_per_robot']:,}",
        )
        for name, sizes in engines.items()
        for num_envs, told in sizes.items()
    ]
    heads = ("engine", "robots", "robot-steps / core-s", "ns each", "all cores", "bytes / robot")
    return _table(heads, rows)


def _all_cores(told: dict[str, Any], busy: bool) -> str:
    """How much faster all cores are, if they were there."""
    if "all_cores_over_one" not in told:
        return ""
    had = told["per_second"] / told["per_core_second"]
    return "busy" if busy or had < QUIET else f"x {told['all_cores_over_one']:.2f}"


def _peers(figures: dict[str, Any]) -> str:
    ours = {
        f"**ours, {name}**": {n: told["per_core_second"] for n, told in sizes.items()}
        for name, sizes in figures["engines"].items()
    }
    theirs = {
        name: {n: rate["per_core_second"] for n, rate in peer.get("rates", {}).items()}
        for name, peer in figures["peers"].items()
    }
    rows = []
    for name, rates in (ours | theirs).items():
        missing = figures["peers"].get(name, {}).get("missing")
        cells = [_rate(rates[n]) if n in rates else "" for n in COMMON]
        larger = [n for n in rates if int(n) > int(COMMON[-1]) and int(n) <= 65536]
        most = f"{_rate(rates[larger[-1]])} ({int(larger[-1]):,})" if larger else ""
        rows.append((missing or name, *cells, most))
    return _table(("", *(f"{int(n):,}" for n in COMMON), "more"), rows)


def _rate(per_second: float) -> str:
    if per_second >= 999_500.0:
        return f"{per_second / 1e6:.1f} M"
    return f"{per_second / 1e3:.1f} k"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    columns = lines[0].count("|") - 2
    return "\n".join([lines[0], "|---" + "|---:" * columns + "|", *lines[1:]])


def main() -> int:
    """Rewrite the page."""
    record = json.loads(RECORD.read_text())
    PAGE.write_text(rewritten(PAGE.read_text(), record))
    print(f"written to {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
