"""The model card: written from the evaluation record, so that its figures cannot differ."""

import hashlib
from pathlib import Path
from typing import Any

from acclimate_contract import Manifest
from acclimate_deploy.files import replacing, write_json
from acclimate_deploy.policy import load_policy
from acclimate_training.errors import EvaluationError
from acclimate_training.evaluation.evaluate import read_record, summary
from acclimate_training.evaluation.table import (
    BAND_COLUMNS,
    BANDS,
    PLATFORM_COLUMNS,
    Rows,
    band_rows,
    headers,
    platform_rows,
    population_rows,
)
from acclimate_training.export import with_evaluation

RECORD, CARD = "evaluation.json", "CARD.md"


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

One recurrent policy for quadrotors it has never met: {manifest.num_parameters} parameters,
{manifest.rate.nominal_hz:g} Hz, signals in, four motor setpoints out. It infers what it needs to
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
| licence | {manifest.licence} |

## How it flies

{settings["robots"]} fresh robots of the published distribution (seed {settings["seed"]}), flown
through onnxruntime in the analytic simulator. *Terminated* (*ended* in the narrow tables): ever
beyond 20 arm lengths, 2 m/s or 35 rad/s on any axis. *Control lost*: ever beyond 5 m, or on average
beyond 1 m over the last second. *Final error*: mean distance over the last second of five, under a
constant random force.
{_peer_sentence(record)}
{population}

{bands}

Copies of known robots, without force; terminated beyond 1 m instead of 20 arm lengths:

{platforms}

Rerun: `acclimate evaluate models/{manifest.name}/policy.onnx --peer {settings["peer"]}`.

## Limits

- Trained without sensor noise, delay, drag, wind gusts or ground effect; it has not flown on a real
  robot yet. It answers sensor noise with busy motors: see that row above.
- It holds heading zero and position; errors beyond 2 m and 4 m/s are clipped inside.
- Below torque-to-inertia 100 1/s² and above the trained thrust-to-weight it is at its worst: see
  the bands above.
- It is not a safety function: run it behind the safety node, which owns the actuators.
"""


def _peer_sentence(record: dict[str, Any]) -> str:
    peers = [name for name in record["figures"] if name != "policy"]
    if not peers:
        return ""
    return f"The peer ({', '.join(peers)}) flew the very same robots in the same run.\n"


def _markdown(columns: list[str], rows: Rows) -> str:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join("| " + " | ".join(cell.strip() for cell in line) + " |" for line in lines)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
