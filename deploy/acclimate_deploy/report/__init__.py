"""From the bag of a flight to a page a person enjoys reading, and its figures as JSON."""

import importlib.util
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from acclimate_contract import AcclimateError
from acclimate_deploy.bag import is_partial
from acclimate_deploy.bag_recovery import recover_bag
from acclimate_deploy.files import replacing
from acclimate_deploy.flight_log import read_flight_log
from acclimate_deploy.report.analysis import analyse
from acclimate_deploy.report.figures import FlightFigures, compute_figures
from acclimate_deploy.report.flight import Flight
from acclimate_deploy.report.page import render
from acclimate_deploy.report.plots import draw_plots
from acclimate_deploy.report.verdict import Verdict, judge
from acclimate_deploy.report.wording import figure_rows

__all__ = ["FlightFigures", "ReportError", "ReportSummary", "Verdict", "write_report"]

EXTRA_MODULES = ("jinja2", "matplotlib")


class ReportError(AcclimateError):
    """A report cannot be made or written."""


@dataclass(frozen=True, kw_only=True)
class ReportSummary:
    """What a report says, for a terminal or another program.

    Attributes:
        bag: The bag it is about.
        html: The page.
        figures_json: The figures as JSON, SI units.
        verdict: How the flight ended.
        figures: The figures.
        missing: Topics that were not recorded.
    """

    bag: Path
    html: Path
    figures_json: Path
    verdict: Verdict
    figures: FlightFigures
    missing: tuple[str, ...]

    @property
    def completed(self) -> bool:
        """True if the robot landed, was disarmed and nothing tripped."""
        return self.verdict.status == "completed"

    def print_table(self) -> None:
        """Print the rows and where the page is."""
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 3))
        for label, value in self.rows():
            table.add_row(label, Text(value))
        console = Console()
        console.print(table)
        console.print(f"\nreport: {self.html}", highlight=False, markup=False, soft_wrap=True)

    def rows(self) -> list[tuple[str, str]]:
        """(label, value) pairs for a table on the terminal, verdict first."""
        lines = [("Verdict", self.verdict.status), ("", self.verdict.sentence)]
        lines += [
            (row.label, f"{row.value}, {row.meaning}" if row.rank == "head" else row.value)
            for row in figure_rows(self.figures)
        ]
        if self.missing:
            lines.append(("Not recorded", ", ".join(self.missing)))
        return lines


def write_report(
    bag_dir: Path | str, out_html: Path | str, *, namespace: str | None = None
) -> ReportSummary:
    """Write a self-contained page about a flight, and its figures as JSON beside it.

    A recording that was never completed (`<bag>.partial`) is recovered first.

    Args:
        bag_dir: Bag folder, .mcap file, or what a killed recorder has left.
        out_html: Page to write; an older one is replaced, never left half written.
        namespace: Prefix of the topics; None finds it if there is only one.

    Raises:
        ReportError: The extra is not installed, or the page cannot be written.
        BagError: An uncompleted recording cannot be recovered.
        FlightLogError: The bag cannot be read.
    """
    _require_extra()
    bag, html = Path(bag_dir), Path(out_html)
    figures_json = html.with_suffix(".json")
    if html.suffix == ".json" or not html.name:
        raise ReportError(
            f"the page cannot be called '{html}': its figures go to '{figures_json}'. "
            "Fix: choose a name that ends in .html."
        )
    if is_partial(bag):
        bag = recover_bag(bag)
    log = read_flight_log(bag, namespace=namespace, required=())
    analysis = analyse(log)
    verdict = judge(log, analysis)
    figures = compute_figures(log, analysis)
    flight = Flight(log=log, analysis=analysis, figures=figures, verdict=verdict)
    page = render(log, verdict, figures, draw_plots(flight))
    record = {
        "bag": str(bag),
        "verdict": asdict(verdict),
        "figures": asdict(figures),
        "robot": dict(log.robot),
        "policy": dict(log.policy),
        "missing": log.missing,
        "recovered": log.recovered,
    }
    _write(figures_json, json.dumps(record, indent=2) + "\n")
    _write(html, page)
    return ReportSummary(
        bag=bag,
        html=html,
        figures_json=figures_json,
        verdict=verdict,
        figures=figures,
        missing=log.missing,
    )


def _require_extra() -> None:
    for name in EXTRA_MODULES:
        try:
            found = importlib.util.find_spec(name) is not None
        except (ImportError, ValueError):  # a module that is blocked has no spec
            found = False
        if not found:
            raise ReportError(
                f"a report needs {' and '.join(EXTRA_MODULES)}, and {name} is not installed: a "
                "robot that only flies does without. Fix: pip install 'acclimate[report]'."
            )


def _write(path: Path, text: str) -> None:
    try:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReportError(
            f"cannot write '{path}': {error.strerror or error}. "
            "Fix: choose another path for the report (its folder must be writable)."
        ) from error
