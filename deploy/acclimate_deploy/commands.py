"""Verbs of the deploy part: `inspect`, `selftest`, `report`.

Imports here are light, because `acclimate --help` loads this module to list the verbs.
"""

import json as json_module
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from acclimate_contract import ConfigError
from acclimate_deploy.command import needs

EXTRA = ""
REQUIRES: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class InspectCfg:
    """Which policy to look at."""

    path: tyro.conf.Positional[Path]
    """The policy file."""
    json: bool = False
    """Print one JSON object instead of tables."""


def inspect(cfg: Annotated[InspectCfg, tyro.conf.arg(name="")]) -> int:
    """Show what a policy reads, commands, remembers, was trained on, and how good it is.

    The file is verified like before a flight; one that fails is refused with exit code 2.
    """
    from rich.console import Console

    from acclimate_deploy.policy import load_policy
    from acclimate_deploy.policy_card import describe, tables

    card = describe(load_policy(cfg.path))
    if cfg.json:
        print(json_module.dumps(card, indent=2))
    else:
        Console().print(tables(card))
    return 0


@dataclass(frozen=True, kw_only=True)
class SelfTestCfg:
    """Which policy to prove."""

    path: tyro.conf.Positional[Path]
    """The policy file."""
    steps: int = 2000
    """Steps of the control loop to time."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(
                f"{self.steps} steps cannot be timed. Fix: give --steps a positive number."
            )


def selftest(cfg: Annotated[SelfTestCfg, tyro.conf.arg(name="")]) -> int:
    """Prove that a policy computes here what it computed when it was made, and time it.

    Exit code 0: proven. 1: this file or this machine computes differently. 2: no policy file.
    """
    from rich.console import Console

    from acclimate_deploy.policy import open_policy
    from acclimate_deploy.self_test import run_self_test

    policy = open_policy(cfg.path)
    result = run_self_test(policy, cfg.steps)
    if cfg.json:
        checks = [{**asdict(check), "passed": check.passed} for check in result.checks]
        record = {**asdict(result), "checks": checks, "passed": result.passed}
        print(json_module.dumps({"sha256": policy.sha256, **record}, indent=2))
        return 0 if result.passed else 1

    from acclimate_deploy.policy_card import self_test_table

    console = Console()
    console.print(self_test_table(result))
    console.print(
        f"One step takes {result.step_p50_us:.1f} us (median), {result.step_p99_us:.1f} us (p99), "
        f"{result.step_max_us:.0f} us (slowest of {cfg.steps}).",
        highlight=False,
    )
    verdict = "is what it was" if result.passed else "FAILS: do not fly it; copy or export it again"
    console.print(f"{policy.path.name} {verdict}.", highlight=False, markup=False)
    return 0 if result.passed else 1


@dataclass(frozen=True, kw_only=True)
class ReportCfg:
    """Which flight to report, and where to."""

    bag: tyro.conf.Positional[Path]
    """Directory of the recorded MCAP bag."""
    out: Path | None = None
    """HTML file to write; the default is report.html beside the bag."""


@needs("report", "matplotlib", "jinja2")
def report(cfg: Annotated[ReportCfg, tyro.conf.arg(name="")]) -> int:
    """Write a self-contained HTML report of a recorded flight, and print its figures."""
    from acclimate_deploy.report import write_report

    out = cfg.out or cfg.bag.parent / "report.html"
    summary = write_report(cfg.bag, out)
    summary.print_table()
    return 0
