"""Starts processes, watches them, and stops them all, whatever happens to whoever started them.

Each process leads a group of its own, so a ctrl-C in the terminal reaches only the runner, which
then stops the others in order. If the runner is killed, the kernel sends SIGTERM to each of them.
"""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Self

from acclimate_contract import AcclimateError

PR_SET_PDEATHSIG = 1
POLL_S = 0.02
TERMINATE_GRACE_S = 3.0
HURRIED_GRACE_S = 1.0
TAIL_LINES = 8

_LIBC = ctypes.CDLL(None, use_errno=True)  # loaded here: nothing may load between fork and exec


class ProcessError(AcclimateError):
    """A process could not be started, or ended when it should not have."""


class StopRequest:
    """Takes note of SIGINT, SIGTERM and SIGHUP while its context lasts, instead of dying of them.

    Attributes:
        number: First signal that came; None before.
        count: How many came; a second one asks for haste.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.count = 0

    def __enter__(self) -> Self:
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        self._before = {number: signal.signal(number, self._take_note) for number in signals}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take_note(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
        self.count += 1

    def __bool__(self) -> bool:
        return self.count > 0


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """What to start and how to stop it.

    Attributes:
        name: Unique; also the name of its log file.
        command: Program and arguments.
        grace_s: Time from SIGINT to SIGTERM: how long its orderly end may take.
        realtime_priority: SCHED_FIFO priority 1 to 99; None leaves the scheduling alone.
    """

    name: str
    command: Sequence[str]
    grace_s: float = 5.0
    realtime_priority: int | None = None


class RunningProcess:
    """One started process; `exit_code` is None until it ended."""

    def __init__(self, spec: ProcessSpec, log: Path, env: Mapping[str, str]) -> None:
        self.spec = spec
        self.log = log
        before_exec = partial(_before_exec, os.getpid(), spec.realtime_priority)
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                list(spec.command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                start_new_session=True,
                preexec_fn=before_exec,
            )
        self.pid = self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """As `subprocess` gives it: negative for a signal."""
        if self._popen.returncode is None and self._ended():
            self.send(signal.SIGKILL)  # its children, while it still holds its group's number
            self._popen.wait()
        return self._popen.returncode

    def _ended(self) -> bool:
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, flags) is not None

    def send(self, number: int) -> None:
        """Send a signal to it and its children."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass  # it has ended meanwhile
        except PermissionError:  # macOS says so of a group of zombies
            pass

    def wait(self, timeout_s: Callable[[], float]) -> bool:
        """Wait for the end; `timeout_s` may shrink while waiting. True once it ended."""
        start_s = time.monotonic()
        while self.exit_code is None:
            if time.monotonic() - start_s >= timeout_s():
                return False
            time.sleep(POLL_S)
        return True

    def stop(self, stop: StopRequest | None = None) -> None:
        """End it: SIGINT, then SIGTERM, then SIGKILL; a second signal to the runner shortens it."""
        for number, grace_s in (
            (signal.SIGINT, self.spec.grace_s),
            (signal.SIGTERM, TERMINATE_GRACE_S),
        ):
            if self.exit_code is not None:
                return
            self.send(number)
            if self.wait(lambda limit=grace_s: _limit(limit, stop)):
                return
        self.send(signal.SIGKILL)
        self._popen.wait()

    def tail(self) -> str:
        """Last lines of its log."""
        lines = self.log.read_text(errors="replace").rstrip().splitlines()
        return "\n".join(lines[-TAIL_LINES:])


class Fleet:
    """Processes that stand and fall together; leaving its context stops them in reverse order.

    Args:
        log_dir: Existing folder; each process logs to `<name>.log` in it.
        env: Environment of all processes.
        stop: Cuts the waiting short when it gets its second signal.
    """

    def __init__(
        self, log_dir: Path, env: Mapping[str, str], stop: StopRequest | None = None
    ) -> None:
        self._log_dir = log_dir
        self._env = env
        self._stop = stop
        self._processes: dict[str, RunningProcess] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()

    def __getitem__(self, name: str) -> RunningProcess:
        return self._processes[name]

    def start(self, spec: ProcessSpec) -> RunningProcess:
        """Start one process.

        Raises:
            ProcessError: The system refuses.
        """
        try:
            process = RunningProcess(spec, self._log_dir / f"{spec.name}.log", self._env)
        except (OSError, subprocess.SubprocessError) as error:
            raise ProcessError(
                f"{spec.name} could not be started: {error}. Fix: check the installation, and "
                "without --realtime-priority."
            ) from error
        self._processes[spec.name] = process
        return process

    def check(self, *, except_for: str = "") -> None:
        """Raise ProcessError if one has ended that should still run."""
        for name, process in self._processes.items():
            code = process.exit_code
            if name != except_for and code is not None:
                raise ProcessError(
                    f"{name} {_ending(code)} and the flight cannot go on without it. "
                    f"The end of its log ({process.log}):\n{process.tail()}"
                )

    def stop_all(self) -> None:
        """Stop all that still run, the last started first."""
        for process in reversed(self._processes.values()):
            process.stop(self._stop)


def _before_exec(parent: int, realtime_priority: int | None) -> None:
    """Tie this process to its parent's life; runs between fork and exec."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # the parent died before the line above
        os._exit(1)
    if realtime_priority is not None:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(realtime_priority))


def _limit(grace_s: float, stop: StopRequest | None) -> float:
    hurried = stop is not None and stop.count > 1
    return min(grace_s, HURRIED_GRACE_S) if hurried else grace_s


def _ending(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
