"""Shows how a flight goes: reads the flight test's log, so it needs no ROS and no thread."""

import re
import time
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from acclimate_field_tests.flight_plan import TAKE_OFF

_EVENT = re.compile(r"\[flight_test\]: (?:event|robot): (.*)$")
_FAILURE = re.compile(r"\[flight_test\]: (flight test failed: .*|.*Fix: .*)$")


class FlightProgress:
    """A bar with the present phase, and a line for each event.

    Attributes:
        failure: Why the flight test says it failed; empty if it does not.
    """

    def __init__(self, console: Console, duration_s: float, log: Path) -> None:
        self.failure = ""
        self._console = console
        self._duration_s = duration_s
        self._log = log
        self._offset = 0
        self._rest = ""
        self._take_off_s: float | None = None
        columns = (TextColumn("{task.description:<14}"), BarColumn(), TimeElapsedColumn())
        # No thread of its own: the runner forks, and forking with threads is asking for trouble.
        self._bar = Progress(*columns, console=console, auto_refresh=False, transient=True)
        self._task = self._bar.add_task("starting", total=duration_s)

    def __enter__(self) -> Self:
        self._bar.start()
        self._bar.refresh()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(line, markup=False)

    def update(self) -> None:
        """Read what is new in the log and redraw."""
        for line in self._new_lines():
            if event := _EVENT.search(line):
                self._on_event(event[1])
            elif failure := _FAILURE.search(line):
                self.failure = failure[1]
        if self._take_off_s is not None:
            self._bar.update(self._task, completed=time.monotonic() - self._take_off_s)
        self._bar.refresh()

    def _on_event(self, event: str) -> None:
        if event == TAKE_OFF:
            self._take_off_s = time.monotonic()
        since = "" if self._take_off_s is None else f"{time.monotonic() - self._take_off_s:5.1f} s"
        self.say(f"{since:>8}  {event}")
        if ":" not in event:
            self._bar.update(self._task, description=event)

    def _new_lines(self) -> list[str]:
        """Complete lines written since the last call."""
        if not self._log.exists():
            return []
        with self._log.open("rb") as stream:
            stream.seek(self._offset)
            data = stream.read()
        self._offset += len(data)
        *lines, self._rest = (self._rest + data.decode(errors="replace")).split("\n")
        return lines
