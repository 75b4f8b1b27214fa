"""Loop timing over a sliding window: percentiles for people, missed ticks for machines."""

import numpy as np


class TimingWindow:
    """Keeps the last periods and latencies of a loop in fixed memory.

    Args:
        nominal_s: Period the loop should keep; a period beyond 1.5 of it counts as missed ticks.
        size: Number of loops remembered.
    """

    def __init__(self, nominal_s: float, size: int = 2048) -> None:
        self._nominal_s = nominal_s
        self._periods = np.zeros(size)
        self._latencies = np.zeros(size)
        self._count = 0
        self.missed_ticks = 0

    def add(self, period_s: float, latency_s: float) -> None:
        """Take note of one loop."""
        index = self._count % len(self._periods)
        self._periods[index] = period_s
        self._latencies[index] = latency_s
        self._count += 1
        if period_s > 1.5 * self._nominal_s:
            self.missed_ticks += round(period_s / self._nominal_s) - 1

    def summary(self) -> list[tuple[str, str]]:
        """Named figures as text: p50, p99 and largest, in milliseconds."""
        filled = min(self._count, len(self._periods))
        rows = [("loops", str(self._count)), ("missed ticks", str(self.missed_ticks))]
        if not filled:
            return rows
        for name, window in (("period", self._periods), ("latency", self._latencies)):
            figures = np.percentile(window[:filled], [50, 99, 100]) * 1e3
            rows += [
                (f"{name} {label} ms", f"{value:.3f}")
                for label, value in zip(("p50", "p99", "max"), figures, strict=True)
            ]
        return rows
