"""The model card: written from the evaluation record, so that its figures cannot differ."""

import hashlib
import textwrap
from pathlib import Path
from typing import Any

from acclimate_contract import Manifest
from acclimate_deploy.files import replacing, write_json
from acclimate_deploy.policy import load_policy
from acclimate_training.errors import EvaluationError
from acclimate_training.evaluation.evaluate import POLICY, TRAINED_IN, read_record, summary
from acclimate_training.evaluation.suites import GROUND
from acclimate_training.evaluation.table import (
    BAND_COLUMNS,
    BANDS,
    PLATFORM_COLUMNS,
    SUITE_COLUMNS,
    SUITE_TITLES,
    Rows,
    band_rows,
    headers,
    platform_rows,
    population_rows,
    suite_rows,
    suites,
)
from acclimate_training.export import with_evaluation

RECORD, CARD = "evaluation.json", "CARD.md"

IMPERFECTIONS = {
    "sensor noise": "noise_level",
    "sensor bias": "bias_level",
    "control delay": "control_delay",
    "drag": "body_drag",
    "battery sag": "voltage_sag",
    "unequal motors": "motor_0_deviation",
    "tilted motors": "motor_0_tilt_x",
    "offset centre of mass": "offset_x",
}
"""In words, and the parameter of a space that brings it."""
NEW_GROUND_TEXT = """\
RAPTOR's ground with one thing changed; up to 1,024 robots per scenario. *Error*: final error,
median, and what nine robots in ten stay below. *Eight*: median RMSE of a figure eight of 5.5 s per
loop. *Back* after a change: for good within 0.1 m of the same robot's distance in the same flight
without the change; *worst*: the largest distance after it. *Score*: RAPTOR's return over the
largest possible one; *all*: its mean over the rates. *Recovered*: within 0.2 m and upright after
5 s. *Tampering*: RAPTOR's episode, the memory or what is seen changed as the row says; *delayed*
robots answer up to 30 ms late. *Knowledge*: R² of a small network that reads the property off the
memory some time after take-off, and off one observation without memory (*memoryless*), on robots
that it has not learned from. 95 % intervals over robots stand in the record."""


def release(policy_path: Path) -> Path:
    """Put the evaluation's summary into the policy file, bind the record to it, write the card.

    Returns:
        Path of the card.

    Raises:
        EvaluationError: The record is missing or belongs to another policy.
    """
    record_path = policy_path.parent / RECORD
    record = read_record(record_path)
    load_policy(policy_path)
    if record["policy_sha256"] != _sha256(policy_path):
        raise EvaluationError(
            f"{record_path} was made with another file than {policy_path}. "
            "Fix: run acclimate evaluate on this one first."
        )
    if "hold" not in record["figures"][POLICY]:
        raise EvaluationError(
            f"{record_path} lacks RAPTOR's ground, which every card starts with. "
            "Fix: run acclimate evaluate with --suite ground or --suite full."
        )
    if record["settings"].get("engine", TRAINED_IN) != TRAINED_IN:
        raise EvaluationError(
            f"{record_path} was flown in two engines, and a card would take one for a peer. "
            "Fix: run acclimate evaluate without --engine, or with another --out."
        )
    with_evaluation(policy_path, summary(record))
    # The weights are those that were evaluated; the file around them now names its figures.
    record["policy_sha256"] = _sha256(policy_path)
    write_json(record_path, record)
    card = policy_path.parent / CARD
    with replacing(card) as temporary:
        temporary.write_text(render(load_policy(policy_path).manifest, record))
    return card


def render(manifest: Manifest, record: dict[str, Any]) -> str:
    """The card's text (Markdown)."""
    origin, settings = manifest.provenance, record["settings"]
    minutes = origin.get("training_seconds", 0.0) / 60
    population = _markdown(["figure", *record["figures"]], population_rows(record))
    bands = "\n\n".join(
        _markdown(headers(record, [title, "robots"], BAND_COLUMNS), band_rows(record, scenario))
        for scenario, title in BANDS
    )
    platforms = _markdown(headers(record, ["platform"], PLATFORM_COLUMNS), platform_rows(record))
    return f"""# {manifest.name}

{_kind(manifest)}: {manifest.num_parameters} parameters,
{_rates(manifest)}, signals in, motor setpoints out. It infers what it needs to
know about the robot from how the robot answers, within the first second of flight.

This page is written by `acclimate release` from `{RECORD}`; every figure below stands there.

## How it was made

| | |
|---|---|
| command | `{origin["command"]}` |
| revision | `{origin["revision"]}` |
| seed | {origin["seed"]} |
| wall time | {minutes:.1f} minutes on {origin.get("device", "cpu")} |
| robots seen | drawn fresh for every iteration from `{manifest.distribution["name"]}` |
| reads | {", ".join(f"`{signal.name}`" for signal in manifest.signals)} |
| licence | {manifest.licence} |

## How it flies

{settings["robots"]} fresh robots of the published distribution (seed {settings["seed"]}), flown
through onnxruntime in the analytic simulator. *Terminated* (*ended* in the narrow tables): ever
beyond 20 arm lengths, 2 m/s or 35 rad/s on any axis. *Control lost*: ever beyond 5 m, or on average
beyond 1 m over the last second. *Final error*: mean distance over the last second of five, under a
constant random force. *Foreseen*: the policy is shown where the reference will be.
{_peer_sentence(record)}
{population}

{bands}

Copies of known robots, without force; terminated beyond 1 m instead of 20 arm lengths:

{platforms}
{_new_ground(record)}
Rerun: `{_rerun(manifest, settings)}`.

## Limits

{_trained_for(manifest)}
- It has flown in simulation only, not on a real robot.
- It holds heading zero and position; errors beyond 2 m and 4 m/s are clipped inside.
- Where it is at its worst, the bands above{_and_suites(record)} say.
- It is not a safety function: run it behind the safety node, which owns the actuators.
"""


def _kind(manifest: Manifest) -> str:
    return f"One recurrent policy for {manifest.family.name}s it has never met"


def _rates(manifest: Manifest) -> str:
    rate = manifest.rate
    return f"{rate.nominal_hz:g} Hz (called at {rate.min_hz:g} to {rate.max_hz:g} Hz)"


def _rerun(manifest: Manifest, settings: dict[str, Any]) -> str:
    suite = settings.get("suite", GROUND)
    chosen = "" if suite == GROUND else f" --suite {suite}"
    return (
        f"acclimate evaluate models/{manifest.name}/policy.onnx{chosen} --peer {settings['peer']}"
    )


def _trained_for(manifest: Manifest) -> str:
    """What its training robots had, and what they lacked, by the parameters of their space."""
    drawn = {parameter["name"] for parameter in manifest.distribution["parameters"]}
    has = [label for label, name in IMPERFECTIONS.items() if name in drawn]
    lacks = [label for label, name in IMPERFECTIONS.items() if name not in drawn]
    lines = [
        f"- Its training robots had {', '.join(has)}." if has else "",
        f"- Its training robots had no {', no '.join(lacks)}." if lacks else "",
    ]
    if situations := manifest.provenance.get("situations"):
        lines.append(f"- Situations it was trained in: `{situations}` (see `acclimate train`).")
    return "\n".join(textwrap.fill(line, 100, subsequent_indent="  ") for line in lines if line)


def _and_suites(record: dict[str, Any]) -> str:
    return " and the tables of new ground" if suites(record) else ""


def _new_ground(record: dict[str, Any]) -> str:
    """One table per suite that was flown besides RAPTOR's ground."""
    if not suites(record):
        return ""
    parts = [
        f"**{SUITE_TITLES[suite].capitalize()}**\n\n"
        + _markdown(headers(record, ["scenario"], SUITE_COLUMNS[suite]), suite_rows(record, suite))
        for suite in suites(record)
    ]
    return "\n".join(["", "## On new ground", "", NEW_GROUND_TEXT, "", "\n\n".join(parts), ""])


def _peer_sentence(record: dict[str, Any]) -> str:
    peers = [name for name in record["figures"] if name != "policy"]
    if not peers:
        return ""
    earlier = record["settings"].get("peer_record")
    when = f"earlier; its figures are from `{earlier}`" if earlier else "in the same run"
    return f"The peer ({', '.join(peers)}) flew the very same robots {when}.\n"


def _markdown(columns: list[str], rows: Rows) -> str:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join("| " + " | ".join(cell.strip() for cell in line) + " |" for line in lines)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
