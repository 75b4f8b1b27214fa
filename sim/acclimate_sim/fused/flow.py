"""Flights in one compiled loop, through which gradients flow into what learns."""

from typing import Any

import torch
from torch import Tensor, nn

from acclimate_sim.fused.loop import FusedLoop
from acclimate_sim.fused.row_step import Step


class FusedFlow:
    """A `FusedLoop` as a differentiable function.

    Args:
        step: The step.
        trained: The module that learns.
        trees: Examples of the constants, the carry and the moment.

    Raises:
        UnsupportedStepError: An operator of the step has no scalar form.
        CompilerError: There is no C++ compiler.
    """

    def __init__(self, step: Step, trained: nn.Module, trees: tuple[Any, Any, Any]) -> None:
        self._loop = FusedLoop(step, trees, trained)

    def __call__(self, world: Tensor, start: Tensor, schedule: Tensor) -> tuple[Tensor, Tensor]:
        """Last carry in rows and outputs (time, outputs, num_envs)."""
        return _Fused.apply(self._loop, world, start, schedule, *self._loop.parameters)


class _Fused(torch.autograd.Function):
    """All steps forward, and backpropagation through time; the last carry has no gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        loop: FusedLoop,
        world: Tensor,
        start: Tensor,
        schedule: Tensor,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor]:
        num_envs = world.shape[1]
        world, start, schedule = (loop.padded(x, last=True) for x in (world, start, schedule))
        tape = loop.new_tape(schedule)
        last, outputs = loop.run(world, start, schedule, parameters, tape)
        ctx.loop = loop
        ctx.save_for_backward(world, schedule, tape, *parameters)
        last = last[:, :num_envs]
        ctx.mark_non_differentiable(last)
        return last, outputs[..., :num_envs]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        world, schedule, tape, *parameters = ctx.saved_tensors
        of_outputs = ctx.loop.padded(gradients[1], last=False)
        of_parameters = ctx.loop.run_back(world, schedule, parameters, tape, of_outputs)
        return None, None, None, None, *of_parameters
