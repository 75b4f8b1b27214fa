"""A step repeated over time, forward and backward: three ways to the same numbers.

`looped` calls the step and leaves the gradient to autograd. The others keep only what flows from
step to step and compute everything else again on the way back, which costs less than to store it:
`acclimate_sim.fused` prints both directions as one C++ loop over time, for float32 on a CPU;
`acclimate_training.compiled` has torch compile one step in each direction, for everything else.
"""

from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from acclimate_sim.fused import FusedFlow, UnsupportedStepError
from acclimate_sim.fused.row_step import Step
from acclimate_sim.trees import pack, pack_steps, steps, unpack
from acclimate_training.compiled import CompiledFlow

Carry = TypeVar("Carry")


class Unroll(Protocol):
    """Runs a step for every moment; `moments` is a tree with a leading time axis."""

    def __call__(
        self, constants: tuple[Any, ...], carry: Carry, moments: Any
    ) -> tuple[Carry, tuple[Tensor, ...]]:
        """Give the last carry and each output (time, num_envs), through which gradients flow."""
        ...


def make_unroll(step: Step, trained: nn.Module, *, compile: bool) -> Unroll:
    """Unroll a step in which the parameters of `trained` learn."""
    return _Compiled(step, trained) if compile else looped(step)


def looped(step: Step) -> Unroll:
    """Unroll a step as it is written."""

    def unroll(constants: tuple[Any, ...], carry: Any, moments: Any) -> Any:
        outputs = []
        for moment in steps(moments):
            carry, *now = step(*constants, carry, moment)
            outputs.append(now)
        return carry, tuple(torch.stack(column) for column in zip(*outputs, strict=True))

    return unroll


class _Compiled:
    """An `Unroll` through whichever flow fits; flows are built once for each shape they need."""

    def __init__(self, step: Step, trained: nn.Module) -> None:
        self._step, self._trained = step, trained
        self._fused: dict[tuple[int, ...], FusedFlow | None] = {}
        self._compiled: dict[tuple[torch.Size, ...], CompiledFlow] = {}

    def __call__(
        self, constants: tuple[Any, ...], carry: Any, moments: Any
    ) -> tuple[Any, tuple[Tensor, ...]]:
        world, start, schedule = pack(constants), pack(carry), pack_steps(moments)
        trees = constants, carry, next(steps(moments))
        flow = self._flow(trees, (world, start, schedule[0]))
        last, outputs = flow(world, start, schedule)
        return unpack(last, carry), outputs.unbind(1)

    def _flow(
        self, trees: tuple[Any, Any, Any], rows: tuple[Tensor, Tensor, Tensor]
    ) -> FusedFlow | CompiledFlow:
        fusible = rows[0].device.type == "cpu" and rows[0].dtype == torch.float32
        if fusible and (fused := self._fused_flow(trees, tuple(len(r) for r in rows))):
            return fused
        shapes = tuple(r.shape for r in rows)
        if shapes not in self._compiled:
            self._compiled[shapes] = CompiledFlow(self._step, self._trained, trees, rows)
        return self._compiled[shapes]

    def _fused_flow(self, trees: tuple[Any, Any, Any], widths: tuple[int, ...]) -> FusedFlow | None:
        if widths not in self._fused:
            try:
                self._fused[widths] = FusedFlow(self._step, self._trained, trees)
            except UnsupportedStepError:
                self._fused[widths] = None
        return self._fused[widths]
