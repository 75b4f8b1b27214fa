"""All that a report may draw or say about one flight."""

from dataclasses import dataclass

from acclimate_deploy.flight_log import FlightLog
from acclimate_deploy.report.analysis import Analysis
from acclimate_deploy.report.figures import FlightFigures
from acclimate_deploy.report.verdict import Verdict


@dataclass(frozen=True, kw_only=True, eq=False)
class Flight:
    """A flight as recorded, and what was found out about it."""

    log: FlightLog
    analysis: Analysis
    figures: FlightFigures
    verdict: Verdict
