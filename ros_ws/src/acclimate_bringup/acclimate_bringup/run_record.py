"""The record of a run, beside its results: configuration, revision, versions, outcome."""

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from acclimate_deploy.provenance import provenance


def describe_run(config: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Everything needed to repeat a run: when, with which settings, revision and versions."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": {name: _plain(value) for name, value in config.items()},
        "platform": platform.platform(),
        **provenance(seed),
    }


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else str(value)
