"""Keep simulated time beside real time: absolute deadlines, a bounded catch-up, counted misses."""


class Pacer:
    """Says how many periods to simulate at each wake-up.

    Deadlines are multiples of the period since the start, so delays never add up. A delay beyond
    `catch_up_s` is not made good: simulated time stands still for it, because a burst of steps
    with one old command would be a fault that no real robot has.

    Args:
        period_s: Simulated time per period.
        catch_up_s: Longest delay that is made good.
    """

    def __init__(self, period_s: float, *, catch_up_s: float) -> None:
        self.period_s = period_s
        self.missed_ticks = 0
        self._most = max(1, round(catch_up_s / period_s))
        self._start_s = 0.0
        self._done = 0

    def start(self, now_s: float) -> None:
        """Begin at a time of a monotonic clock."""
        self._start_s = now_s
        self._done = 0
        self.missed_ticks = 0

    def due(self, now_s: float) -> int:
        """Periods to simulate now; the caller simulates them all."""
        # A timer may wake some microseconds early.
        elapsed = int((now_s - self._start_s) / self.period_s + 1e-2)
        behind = max(0, elapsed - self._done - self.missed_ticks)
        periods = min(behind, self._most)
        self.missed_ticks += behind - periods
        self._done += periods
        return periods

    @property
    def stamp_s(self) -> float:
        """Real time, since the start, to which the last simulated period belongs."""
        return (self._done + self.missed_ticks) * self.period_s


class StampClock:
    """Turns time since a start into stamps of another clock, which may drift or be set.

    Drift is followed slowly, so that the steps between stamps stay the simulated ones; a clock
    that was set is followed at once.

    Args:
        start_s: The start, on the monotonic clock.
        start_ns: The same moment on the stamps' clock.
    """

    SET_NS = 50_000_000
    FOLLOW_NS = 5_000
    """Per call; a clock being adjusted runs at most 500 ppm wrong, 2500 ns in 5 ms."""

    def __init__(self, start_s: float, start_ns: int) -> None:
        self._start_s = start_s
        self._start_ns = start_ns

    def follow(self, now_s: float, now_ns: int) -> None:
        """Compare both clocks at the same moment."""
        error_ns = now_ns - self.stamp_ns(now_s - self._start_s)
        if abs(error_ns) > self.SET_NS:
            self._start_ns += error_ns
        else:
            self._start_ns += max(-self.FOLLOW_NS, min(self.FOLLOW_NS, error_ns))

    def stamp_ns(self, elapsed_s: float) -> int:
        """Stamp of a time since the start."""
        return self._start_ns + round(elapsed_s * 1e9)
