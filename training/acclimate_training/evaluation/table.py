"""The record of an evaluation as tables for a terminal."""

from typing import Any

from rich.table import Table

HOLD_ROWS = (
    ("terminated", "terminated", "%"),
    ("control lost", "lost", "%"),
    ("final error, median", "final_error_median_m", "m"),
    ("final error, 90 %", "final_error_p90_m", "m"),
    ("settled within 0.1 m", "settled_0.1m", "%"),
    ("  median time", "settling_time_0.1m_median_s", "s"),
    ("settled within 0.2 m", "settled_0.2m", "%"),
    ("  median time", "settling_time_0.2m_median_s", "s"),
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
)
"""Label, scenario, name of the figure, unit."""

PLATFORM_ROWS = (
    ("final error", "final_error_median_m", "m"),
    ("lost", "lost", "%"),
    ("eight 10 s", "figure_eight_10s_rmse_m", "m"),
    ("eight 5.5 s", "figure_eight_5.5s_rmse_m", "m"),
)

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
    return f"{value:.4g}"


def population_rows(record: dict[str, Any]) -> Rows:
    """Label and one cell per pilot, for robots of the published distribution."""
    pilots = record["figures"].values()
    rows = [
        [label, *(shown(p["hold"][name], unit) for p in pilots)] for label, name, unit in HOLD_ROWS
    ]
    rows += [
        [label, *(shown(p[scenario][name], unit) for p in pilots)]
        for label, scenario, name, unit in VARIANTS
    ]
    return rows


def band_rows(record: dict[str, Any], scenario: str) -> Rows:
    """Band, number of robots, and three figures per pilot."""
    pilots = list(record["figures"].values())
    rows = []
    for bands in zip(*(p[scenario] for p in pilots), strict=True):
        first = bands[0]
        row = [f"{first['low']:g} to {first['high']:g}", str(first["robots"])]
        for band in bands:
            row += [
                shown(band.get("terminated"), "%"),
                shown(band.get("lost"), "%"),
                shown(band.get("final_error_median_m"), "m"),
            ]
        rows.append(row)
    return rows


def platform_rows(record: dict[str, Any]) -> Rows:
    """Platform and four figures per pilot."""
    pilots = list(record["figures"].values())
    return [
        [
            name,
            *(shown(p["platforms"][name][f], unit) for p in pilots for _, f, unit in PLATFORM_ROWS),
        ]
        for name in pilots[0]["platforms"]
    ]


def headers(record: dict[str, Any], first: list[str], figures: tuple[str, ...]) -> list[str]:
    """Column titles: the first ones, then each pilot's figures."""
    return [*first, *(f"{pilot}: {f}" for pilot in record["figures"] for f in figures)]


BAND_FIGURES = ("terminated", "lost", "final error")
BANDS = (
    ("hold_by_thrust_to_weight", "thrust-to-weight"),
    ("hold_by_torque_to_inertia", "torque-to-inertia 1/s²"),
)


def tables(record: dict[str, Any]) -> list[Table]:
    """Everything in the record, ready to print."""
    robots = record["settings"]["robots"]
    result = [
        _table(
            f"{robots} robots of the published distribution, 5 s, constant random force",
            ["figure", *record["figures"]],
            population_rows(record),
        )
    ]
    for scenario, title in BANDS:
        columns = headers(record, [title, "robots"], BAND_FIGURES)
        result.append(_table(f"by {title}", columns, band_rows(record, scenario)))
    columns = headers(record, ["platform"], tuple(label for label, _, _ in PLATFORM_ROWS))
    result.append(_table("known platforms, without force", columns, platform_rows(record)))
    return result


def _table(title: str, columns: list[str], rows: Rows) -> Table:
    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    return table
