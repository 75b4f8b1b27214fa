"""What the page says around the plots, and the page itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from acclimate_deploy.flight_log import POLICY, ROBOT, FlightLog
from acclimate_deploy.flight_tracks import SafetyChange
from acclimate_deploy.report.analysis import TRIPPED_MODES, is_disturbance
from acclimate_deploy.report.figures import FlightFigures
from acclimate_deploy.report.plots import Plot
from acclimate_deploy.report.verdict import COMPLETED, UNKNOWN, Verdict
from acclimate_deploy.report.wording import figure_rows, length, milliseconds, readapted

ABSENT = "\N{EN DASH}"
MAX_CHANGES = 40  # of the safety state that the page lists

ROBOT_FACTS = {  # key in the description -> label, format
    "name": ("Robot", "{}"),
    "seed": ("Seed", "{}"),
    "engine": ("Engine", "{}"),
    "mass_kg": ("Mass", "{:.4g} kg"),
    "thrust_to_weight": ("Thrust to weight", "{:.3g}"),
    "torque_to_inertia": ("Torque to inertia", "{:.4g} rad/s²"),
    "arm_length_m": ("Arm", "{:.3g} m"),
    "unreadable": ("Not readable", "{}"),
}
POLICY_FACTS = {
    "name": ("Policy", "{}"),
    "num_parameters": ("Parameters", "{:,}"),
    "revision": ("Revision", "{}"),
    "seed": ("Training seed", "{}"),
    "sha256": ("SHA-256", "{}"),
    "unreadable": ("Not readable", "{}"),
}


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One line of "what flew"."""

    label: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One line of the timeline; `number` is the one in the plots, empty for changes of safety."""

    time_s: float
    number: str
    kind: str
    text: str


def render(log: FlightLog, verdict: Verdict, figures: FlightFigures, plots: list[Plot]) -> str:
    """HTML of the whole report; needs no other file and no network."""
    from jinja2 import Environment, StrictUndefined

    source = files("acclimate_deploy.report").joinpath("report.html.j2").read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    robot = facts(log.robot, ROBOT_FACTS)
    policy = facts({**_provenance(log.policy), **log.policy}, POLICY_FACTS)
    return environment.from_string(source).render(
        title=title(log),
        date=datetime.fromtimestamp(log.start_ns * 1e-9, tz=UTC).strftime("%d %B %Y, %H:%M UTC"),
        bag=log.bag,
        namespace=log.namespace,
        verdict=verdict,
        mood=mood(verdict),
        highlights=highlights(figures),
        robot=robot,
        policy=policy,
        robot_topic=ROBOT,
        policy_topic=POLICY,
        rows=figure_rows(figures),
        changes=trips(log),
        moments=moments(log),
        plots=plots,
        missing=log.missing,
        recovered=log.recovered,
        bad_odometry=figures.bad_odometry,
    )


def title(log: FlightLog) -> str:
    """Who flew whom."""
    robot = str(log.robot.get("name", "an unnamed robot"))
    if "seed" in log.robot and robot == "random":
        robot = f"random robot {log.robot['seed']}"
    return f"{log.policy.get('name', 'An unnamed policy')} on {robot}"


def mood(verdict: Verdict) -> str:
    """Class of the verdict's box: good, bad or open."""
    if verdict.status == COMPLETED:
        return "good"
    return "open" if verdict.status == UNKNOWN else "bad"


def highlights(figures: FlightFigures) -> list[Fact]:
    """The four numbers to remember."""
    adapted = figures.disturbances[0] if figures.disturbances else None
    return [
        Fact(label="hover RMSE", value=length(figures.hover_rmse_m, ABSENT)),
        Fact(label="figure-eight RMSE", value=length(figures.figure_eight_rmse_m, ABSENT)),
        Fact(label="to adapt again", value=readapted(adapted) if adapted else ABSENT),
        Fact(label="latency p99", value=milliseconds(figures.latency_p99_s, ABSENT)),
    ]


def facts(data: Mapping[str, Any], known: Mapping[str, tuple[str, str]]) -> list[Fact]:
    """Known entries of a description as a person reads them."""
    return [
        Fact(label=label, value=_format(form, data[key]))
        for key, (label, form) in known.items()
        if data.get(key) not in (None, "")
    ]


def moments(log: FlightLog) -> list[Moment]:
    """Events and changes of the safety mode, in time order."""
    lines = [
        Moment(
            time_s=event.time_s,
            number=str(number),
            kind="disturbance" if is_disturbance(event) else "event",
            text=event.text,
        )
        for number, event in enumerate(log.events, start=1)
    ]
    mode = ""
    for change in log.safety:
        kind = "trip" if change.mode in TRIPPED_MODES else "safety"
        if change.mode != mode and not _announced(log, change):
            lines.append(Moment(time_s=change.time_s, number="", kind=kind, text=change.mode))
        mode = change.mode
    return sorted(lines, key=lambda moment: moment.time_s)


def trips(log: FlightLog) -> list[Moment]:
    """Everything the safety supervisor gave a reason for."""
    return [
        Moment(time_s=change.time_s, number="", kind=change.mode, text="; ".join(change.reasons))
        for change in log.safety
        if change.reasons or change.mode in TRIPPED_MODES
    ][:MAX_CHANGES]


def _announced(log: FlightLog, change: SafetyChange) -> bool:
    """True if an event says the same at the same time: the timeline needs it once."""
    return any(
        event.text == change.mode and abs(event.time_s - change.time_s) < 1.0
        for event in log.events
    )


def _provenance(policy: Mapping[str, Any]) -> Mapping[str, Any]:
    provenance = policy.get("provenance")
    return provenance if isinstance(provenance, Mapping) else {}


def _format(form: str, value: Any) -> str:
    try:
        return form.format(value)
    except (TypeError, ValueError):  # another node's description may hold a text instead
        return str(value)
