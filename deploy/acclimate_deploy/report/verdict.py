"""How a flight ended, in one word and one sentence."""

from dataclasses import dataclass

import numpy as np

from acclimate_deploy.flight_log import SAFETY, FlightLog
from acclimate_deploy.report.analysis import TRIPPED_MODES, Analysis

COMPLETED = "completed"
TRIPPED = "tripped"
EMERGENCY_STOPPED = "emergency stopped"
NOT_COMPLETED = "not completed"
NOT_FLOWN = "not flown"
UNKNOWN = "unknown"

IN_THE_AIR_M = 0.3  # disarmed higher than this above where it stood, it was not a landing


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How the flight ended.

    Attributes:
        status: One of the words above.
        sentence: Why, for a person.
        reasons: What the safety supervisor gave as reasons; empty unless it acted.
        time_s: When it was decided, since the first odometry; None if there is no such moment.
    """

    status: str
    sentence: str
    reasons: tuple[str, ...] = ()
    time_s: float | None = None

    @property
    def tripped_s(self) -> float | None:
        """When the safety supervisor stopped the flight; None if it did not."""
        return self.time_s if self.status in TRIPPED_MODES else None


def judge(log: FlightLog, analysis: Analysis) -> Verdict:
    """Decide how the flight ended, from what was recorded and nothing else."""
    if SAFETY in log.missing:
        return Verdict(
            status=UNKNOWN,
            sentence=f"{SAFETY} was not recorded, so nobody can say how the flight ended.",
        )
    for change in log.safety:
        if change.mode in TRIPPED_MODES:
            why = "; ".join(change.reasons) or "no reason was given"
            return Verdict(
                status=change.mode,
                sentence=f"After {change.time_s:.2f} s: {why}.",
                reasons=change.reasons,
                time_s=change.time_s,
            )
    if not analysis.armed:
        refused = tuple(dict.fromkeys(r for change in log.safety for r in change.reasons))
        why = f": {'; '.join(refused)}" if refused else ""
        return Verdict(
            status=NOT_FLOWN, sentence=f"The motors were never armed{why}.", reasons=refused
        )
    return _judge_end(log, analysis)


def _judge_end(log: FlightLog, analysis: Analysis) -> Verdict:
    end_s = analysis.armed[-1][1]
    aborts = [e for e in log.events if e.text.lower().startswith(("abort", "interrupted"))]
    if aborts:
        sentence = f"After {aborts[0].time_s:.2f} s: {aborts[0].text}."
        return Verdict(status=NOT_COMPLETED, sentence=sentence, time_s=aborts[0].time_s)
    if log.safety[-1].mode == "armed":
        sentence = "The recording ends while the motors are still armed."
        return Verdict(status=NOT_COMPLETED, sentence=sentence, time_s=end_s)
    before = np.flatnonzero(analysis.time_s <= end_s)
    if not len(before):
        sentence = "It was armed and disarmed; where it was then is not recorded."
        return Verdict(status=UNKNOWN, sentence=sentence, time_s=end_s)
    height_m = float(log.odometry.position[before[-1], 2]) - analysis.ground_m
    if not height_m <= IN_THE_AIR_M:  # also if it is not a number
        sentence = f"The motors were disarmed {height_m:.2f} m above the ground."
        return Verdict(status=NOT_COMPLETED, sentence=sentence, time_s=end_s)
    return Verdict(
        status=COMPLETED,
        sentence=f"Back on the ground and disarmed after {end_s - analysis.armed[0][0]:.1f} s; "
        "nothing tripped.",
        time_s=end_s,
    )
