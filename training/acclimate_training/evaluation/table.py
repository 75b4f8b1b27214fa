"""The record of an evaluation as tables for a terminal."""

from collections.abc import Iterable
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

HOLD_ROWS = (
    ("terminated", "terminated", "%"),
    ("control lost", "lost", "%"),
    ("final error, median", "final_error_median_m", "m"),
    ("final error, 90 %", "final_error_p90_m", "m"),
    ("settled within 0.1 m", "settled_0.1m", "%"),
    ("time to settle within 0.1 m, median", "settling_time_0.1m_median_s", "s"),
    ("settled within 0.2 m", "settled_0.2m", "%"),
    ("time to settle within 0.2 m, median", "settling_time_0.2m_median_s", "s"),
    ("return (RAPTOR's reward)", "return", ""),
    ("action change per step", "action_change", ""),
)
"""Label, name of the figure, unit."""

VARIANTS = (
    ("without force: final error, median", "hold_without_force", "final_error_median_m", "m"),
    ("errors clipped to 0.5 m, 1 m/s: control lost", "hold_clipped", "lost", "%"),
    ("sensor noise: action change per step", "hold_noisy", "action_change", ""),
    ("memory cleared: terminated", "hold_without_memory", "terminated", "%"),
    ("memory cleared: final error, median", "hold_without_memory", "final_error_median_m", "m"),
    ("figure eight 10 s: RMSE, median", "figure_eight_10s", "rmse_median_m", "m"),
    ("figure eight 10 s: lost", "figure_eight_10s", "lost", "%"),
    ("figure eight 5.5 s: RMSE, median", "figure_eight_5.5s", "rmse_median_m", "m"),
    ("figure eight 5.5 s: lost", "figure_eight_5.5s", "lost", "%"),
    (
        "figure eight 10 s, foreseen: RMSE, median",
        "figure_eight_10s_foreseen",
        "rmse_median_m",
        "m",
    ),
    (
        "figure eight 5.5 s, foreseen: RMSE, median",
        "figure_eight_5.5s_foreseen",
        "rmse_median_m",
        "m",
    ),
)
"""Label, scenario, name of the figure, unit."""

BAND_COLUMNS = (
    ("ended", "terminated", "%"),
    ("lost", "lost", "%"),
    ("error", "final_error_median_m", "m"),
)
PLATFORM_COLUMNS = (
    ("error", "final_error_median_m", "m"),
    ("lost", "lost", "%"),
    ("eight 10 s", "figure_eight_10s_rmse_m", "m"),
    ("eight 5.5 s", "figure_eight_5.5s_rmse_m", "m"),
)
Columns = tuple[tuple[str, str, str], ...]

VARIED = (
    ("lost", "lost", "%"),
    ("error", "final_error_median_m", "m"),
    ("90 %", "final_error_p90_m", "m"),
    ("eight", "figure_eight_5.5s_rmse_median_m", "m"),
)
SUITE_COLUMNS: dict[str, Columns] = {
    "senses": VARIED,
    "air": VARIED,
    "body": VARIED,
    "changes": (
        ("lost", "lost", "%"),
        ("worst", "worst_distance_median_m", "m"),
        ("90 %", "worst_distance_p90_m", "m"),
        ("back", "back", "%"),
        ("after", "time_to_return_median_s", "s"),
    ),
    "rates": (
        ("score", "score", ""),
        ("lost", "lost", "%"),
        ("error", "final_error_median_m", "m"),
    ),
    "recovery": (
        ("recovered", "recovered", "%"),
        ("lost", "lost", "%"),
        ("after", "time_to_recover_median_s", "s"),
        ("error", "final_error_median_m", "m"),
    ),
    "endurance": (
        ("lost", "lost", "%"),
        ("error at 5 s", "error_after_5s_median_m", "m"),
        ("at the end", "error_at_the_end_median_m", "m"),
        ("memory at 5 s", "memory_norm_after_5s", ""),
        ("at the end", "memory_norm_at_the_end", ""),
    ),
    "tampering": (
        ("ended", "terminated", "%"),
        ("lost", "lost", "%"),
        ("error", "final_error_median_m", "m"),
        ("90 %", "final_error_p90_m", "m"),
    ),
    "knowledge": (
        ("0.1 s", "memory_after_0.1s", "R²"),
        ("1 s", "memory_after_1s", "R²"),
        ("5 s", "memory_after_5s", "R²"),
        ("memoryless", "observation_after_5s", "R²"),
    ),
}
"""Suites on new ground that are shown, and the figures that they are shown by."""
SUITE_TITLES = {
    "senses": "senses: what robots are told, and when",
    "air": "air: drag, wind with gusts, the ground",
    "body": "body: how robots are built",
    "changes": "changes in mid-flight",
    "rates": "control rates",
    "recovery": "recovery: thrown in any attitude at up to 5 m/s and 10 rad/s",
    "endurance": "endurance",
    "tampering": "tampering: the same weights with a meddled memory or history",
    "knowledge": "knowledge: share of the variance that a probe explains (R²)",
}

Rows = list[list[str]]


def shown(value: float | None, unit: str) -> str:
    """A figure with its unit; a dash for what never happened."""
    if value is None:
        return "-"
    if unit == "%":
        return f"{100 * value:.1f} %"
    if unit == "m":
        return f"{value:.3f} m"
    if unit == "s":
        return f"{value:.2f} s"
    if unit == "R²":
        return f"{value:.2f} R²"
    return f"{value:.4g}"


def population_rows(record: dict[str, Any]) -> Rows:
    """Label and one cell per pilot, for robots of the published distribution."""
    pilots = record["figures"].values()
    figures = [(label, "hold", name, unit) for label, name, unit in HOLD_ROWS]
    return [
        [label, *(shown(p.get(scenario, {}).get(name), unit) for p in pilots)]
        for label, scenario, name, unit in (*figures, *VARIANTS)
        if any(scenario in p for p in pilots)  # not every pilot can foresee
    ]


def band_rows(record: dict[str, Any], scenario: str) -> Rows:
    """Band, number of robots, and the figures of `BAND_COLUMNS` per pilot."""
    pilots = list(record["figures"].values())
    rows = []
    for bands in zip(*(p[scenario] for p in pilots), strict=True):
        first = bands[0]
        label = f"{first['low']:g} to {first['high']:g}"
        rows.append([label, str(first["robots"]), *_cells(bands, BAND_COLUMNS)])
    return rows


def platform_rows(record: dict[str, Any]) -> Rows:
    """Platform and the figures of `PLATFORM_COLUMNS` per pilot."""
    platforms = [pilot["platforms"] for pilot in record["figures"].values()]
    return [
        [name, *_cells([p[name] for p in platforms], PLATFORM_COLUMNS)] for name in platforms[0]
    ]


def suites(record: dict[str, Any]) -> list[str]:
    """Names of the suites on new ground that were flown and have a table."""
    flown = next(iter(record["figures"].values())).get("suites", {})
    return [name for name in SUITE_COLUMNS if name in flown]


def suite_rows(record: dict[str, Any], suite: str) -> Rows:
    """Scenario and the figures of `SUITE_COLUMNS` per pilot."""
    flown = [pilot["suites"][suite] for pilot in record["figures"].values()]
    return [
        [name.replace("_", " "), *_cells([f[name] for f in flown], SUITE_COLUMNS[suite])]
        for name in flown[0]
    ]


def headers(record: dict[str, Any], first: list[str], columns: Columns) -> list[str]:
    """Column titles: the first ones, then each pilot's figures with their units."""
    titles = (f"{pilot} {c[0]} {c[2]}" for pilot in record["figures"] for c in columns)
    return [*first, *(title.rstrip() for title in titles)]


def _cells(groups: Iterable[dict[str, Any]], columns: Columns) -> list[str]:
    """Figures without their units, which stand in the column titles."""
    return [
        shown(figures.get(name), unit).removesuffix(f" {unit}")
        for figures in groups
        for _, name, unit in columns
    ]


BANDS = (
    ("hold_by_thrust_to_weight", "thrust-to-weight"),
    ("hold_by_torque_to_inertia", "torque-to-inertia 1/s²"),
)


def tables(record: dict[str, Any]) -> list[Table]:
    """Everything in the record, ready to print."""
    flown = next(iter(record["figures"].values()))
    result = _ground_tables(record) if "hold" in flown else []
    for suite in suites(record):
        columns = headers(record, ["scenario"], SUITE_COLUMNS[suite])
        result.append(_table(SUITE_TITLES[suite], columns, suite_rows(record, suite)))
    return result


def _ground_tables(record: dict[str, Any]) -> list[Table]:
    robots = record["settings"]["robots"]
    result = [
        _table(
            f"{robots} robots of the published distribution, 5 s, constant random force",
            ["figure", *record["figures"]],
            population_rows(record),
        )
    ]
    for scenario, title in BANDS:
        columns = headers(record, [title, "robots"], BAND_COLUMNS)
        result.append(_table(f"by {title}", columns, band_rows(record, scenario)))
    columns = headers(record, ["platform"], PLATFORM_COLUMNS)
    result.append(_table("known platforms, without force", columns, platform_rows(record)))
    return result


def _table(title: str, columns: list[str], rows: Rows) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", no_wrap=not i)
    for row in rows:
        table.add_row(*row)
    return table
