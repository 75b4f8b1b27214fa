"""The life of a node's process: own signal handling, a bounded spin, an exit code.

rclpy's own signal handlers shut the context down before a node can publish a last message, so a
"motors off" on the way out would be lost. Here the handlers only take note; the node says its last
word in `close`, and the context ends after it.
"""

import gc
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

import rclpy
from rclpy.exceptions import (
    InvalidParameterException,
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterUninitializedException,
)
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from acclimate_contract import AcclimateError, ConfigError

_PARAMETER_ERRORS = (
    InvalidParameterException,
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterUninitializedException,
)
INTERRUPTED = 130
"""Exit code of a node that a signal kept from finishing its work."""
SPIN_TIMEOUT_S = 0.1
"""Longest wait of one spin: a wait without end neither sees a signal nor wakes under load."""


class ManagedNode:
    """What `run` asks of a node; mixed into rclpy's Node or LifecycleNode.

    Attributes:
        exit_code: Set it to end the process; None while the node has work to do.
        exit_grace_s: After a signal, the kernel ends the process when this much time has passed.
    """

    exit_code: int | None = None
    exit_grace_s: int = 5

    def begin(self) -> None:
        """Called once, when the executor is ready."""

    def request_stop(self) -> None:
        """Called once at the first SIGINT or SIGTERM; the default leaves at once.

        A node that still has something to do gets `exit_grace_s` for it; a second signal ends it.
        """
        self.exit_code = 0

    def close(self) -> None:
        """Called last, with the context still valid, whatever ended the node."""


class _Signals:
    def __init__(self) -> None:
        self.count = 0
        self.grace_s = ManagedNode.exit_grace_s
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._take_note)

    def _take_note(self, number: int, frame: FrameType | None) -> None:
        if not self.count:
            signal.alarm(self.grace_s)  # a node that hangs in its last words still leaves
        self.count += 1


def run(make_node: Callable[[], ManagedNode], args: Sequence[str] | None = None) -> int:
    """Make a node, spin it until it or a signal says stop, close it.

    Args:
        make_node: Builds the node; raises AcclimateError when it cannot start safely.
        args: Command line without the program; None reads `sys.argv`.

    Returns:
        Exit code of the process: 0 after a clean stop, 1 after an error.
    """
    signals = _Signals()
    node: ManagedNode | None = None
    name = "acclimate"
    try:
        argv = None if args is None else [sys.argv[0], *args]
        rclpy.init(args=argv, signal_handler_options=SignalHandlerOptions.NO)
        try:
            node = make_node()
            assert isinstance(node, Node)
            name = node.get_name()
            _refuse_unknown_parameters(node)
            signals.grace_s = node.exit_grace_s
            code = _spin(node, signals)
        finally:
            _finish(node)
    except (AcclimateError, *_PARAMETER_ERRORS) as error:
        logging.getLogger(__name__).debug("stopped by an error", exc_info=True)
        get_logger(name).fatal(str(error))
        return 1
    finally:
        rclpy.try_shutdown()
        gc.unfreeze()  # or the middleware's shared memory would outlive the process
    return code


def _spin(node: ManagedNode, signals: _Signals) -> int:
    assert isinstance(node, Node)
    executor = _executor()
    executor.add_node(node)
    gc.collect()
    gc.freeze()  # what exists now lives as long as the process: later collections skip it
    if not signals.count:
        node.begin()
    asked = False
    while node.exit_code is None:
        executor.spin_once(timeout_sec=SPIN_TIMEOUT_S)
        if signals.count and not asked:
            asked = True
            node.request_stop()
        if signals.count > 1 and node.exit_code is None:
            return INTERRUPTED
    return node.exit_code


def _refuse_unknown_parameters(node: ManagedNode) -> None:
    """A misspelt limit would silently be no limit: rclpy ignores what nobody declared."""
    assert isinstance(node, Node)
    given = set(getattr(node, "_parameter_overrides", {}))
    unknown = sorted(name for name in given if not node.has_parameter(name))
    if unknown:
        known = sorted(node.get_parameters_by_prefix(""))
        raise ConfigError(
            f"{node.get_name()} has no parameter {', '.join(unknown)}, so setting it changes "
            f"nothing. It has {', '.join(known)}. Fix: correct the name in the parameter file."
        )


def _executor() -> Executor:
    """The events executor where rclpy has it: half the CPU time of the single-threaded one.

    It hangs in `spin()` and in waits without end, and cannot call back with message info; nothing
    here does that. Never a multi-threaded executor: it starves under load.
    """
    try:
        from rclpy.experimental.events_executor import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()


def _finish(node: ManagedNode | None) -> None:
    if node is None:
        return
    try:
        node.close()
    finally:
        assert isinstance(node, Node)
        node.destroy_node()
