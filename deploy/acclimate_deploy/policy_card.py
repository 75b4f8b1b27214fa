"""What a person wants to know about a policy file: as a dictionary, and as tables."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from acclimate_contract import GOLDEN_TOLERANCE
from acclimate_deploy.policy import Policy, golden_difference
from acclimate_deploy.self_test import SelfTest


def describe(policy: Policy) -> dict[str, Any]:
    """Everything about a policy but its weights and its golden numbers, ready for JSON."""
    manifest = policy.manifest
    golden = manifest.golden
    return {
        "path": str(policy.path),
        "sha256": policy.sha256,
        "size_bytes": policy.size_bytes,
        "name": manifest.name,
        "family": manifest.family.name,
        "licence": manifest.licence,
        "num_parameters": manifest.num_parameters,
        "signals": [vars(signal) for signal in manifest.signals],
        "action": vars(manifest.action),
        "memory": [
            {"input": m.input, "output": m.output, "shape": m.shape, "initial": m.initial.tolist()}
            for m in manifest.memory
        ],
        "rate": vars(manifest.rate),
        "golden": {
            "steps": golden.num_steps,
            "resets": np.flatnonzero(golden.resets).tolist(),
            "difference": golden_difference(policy),
            "tolerance": GOLDEN_TOLERANCE,
        },
        "distribution": dict(manifest.distribution),
        "evaluation": dict(manifest.evaluation),
        "provenance": dict(manifest.provenance),
    }


def tables(card: Mapping[str, Any]) -> RenderableType:
    """Lay out the result of `describe` for a terminal."""
    return Group(
        _overview(card),
        _signal_table(card),
        _plain_table("trained on", card["distribution"]),
        _plain_table("evaluation", card["evaluation"]),
        _plain_table("provenance", card["provenance"]),
    )


def self_test_table(result: SelfTest) -> Table:
    """Lay out the claims of a self-test."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("claim")
    table.add_column("measured", justify="right")
    table.add_column("limit", justify="right")
    table.add_column("")
    for check in result.checks:
        verdict = Text("holds", "green") if check.passed else Text("FAILS", "bold red")
        table.add_row(check.claim, f"{check.measured:.3g}", f"{check.limit:.3g}", verdict)
    return table


def _overview(card: Mapping[str, Any]) -> Table:
    rate, golden, action = card["rate"], card["golden"], card["action"]
    memory = [
        f"{m['input']} {_shape(m['shape'])}, from {_initial(m['initial'])} at a reset"
        for m in card["memory"]
    ]
    return _rows(
        f"policy {card['name']}",
        {
            "robot family": card["family"],
            "parameters": f"{card['num_parameters']:,}",
            "memory": "; ".join(memory) or "none",
            "rate": f"memory advances at {rate['nominal_hz']:g} Hz; signals may come at "
            f"{rate['min_hz']:g} to {rate['max_hz']:g} Hz",
            "commands": f"{', '.join(action['channels'])}, from {action['low']:g} to "
            f"{action['high']:g}. {action['description']}",
            "golden sequence": f"{golden['steps']} steps, reset before {golden['resets']}; largest "
            f"difference here {golden['difference']:.2g}, limit {golden['tolerance']:.0e}",
            "licence": card["licence"],
            "file": f"{card['path']}, {card['size_bytes']:,} bytes",
            "sha256": card["sha256"],
        },
    )


def _signal_table(card: Mapping[str, Any]) -> Table:
    table = Table(title="signals it reads", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("name", no_wrap=True)
    for column in ("shape", "unit", "frame"):
        table.add_column(column)
    table.add_column("meaning")
    for signal in card["signals"]:
        table.add_row(
            signal["name"],
            _shape(signal["shape"]),
            signal["unit"],
            signal["frame"],
            escape(signal["description"]),
        )
    return table


def _plain_table(title: str, values: Mapping[str, Any]) -> Table:
    return _rows(title, dict(_flatten(values)) or {"not recorded": ""})


def _rows(title: str, values: Mapping[str, str]) -> Table:
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(Text(name), Text(value))
    return table


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Turn nested records into dotted names; each item of a list of records is one line."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            for i, item in enumerate(value):
                yield f"{prefix}{item.get('name', f'{name} {i}')}", _one_line(item)
        else:
            yield f"{prefix}{name}", _number(value)


def _one_line(item: Mapping[str, Any]) -> str:
    """A record in words: the numbers first, the sentence about them last."""
    rest = {key: v for key, v in item.items() if key not in ("name", "unit", "description")}
    words = ", ".join(f"{key.split('.')[-1]} {value}" for key, value in _flatten(rest))
    unit = f" {item['unit']}" if item.get("unit", "1") != "1" else ""
    description = f". {item['description']}" if "description" in item else ""
    return f"{words.removeprefix('kind ')}{unit}{description}"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _shape(shape: tuple[int, ...]) -> str:
    return str(tuple(shape))


def _initial(values: Any) -> str:
    flat = np.ravel(values)
    if flat.size and np.all(flat == flat[0]):
        return f"{flat[0]:g}"
    return f"values between {flat.min():.3g} and {flat.max():.3g}" if flat.size else "nothing"
