"""Flights through one compiled step and its way back, called back to back."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from acclimate_sim.fused.row_step import RowStep, Step


class CompiledFlow:
    """Both directions of a step, compiled by torch for batches of one shape.

    Args:
        step: The step.
        trained: The module that learns.
        trees: Examples of the constants, the carry and the moment.
        rows: The same in rows.
    """

    def __init__(
        self,
        step: Step,
        trained: nn.Module,
        trees: tuple[Any, Any, Any],
        rows: tuple[Tensor, Tensor, Tensor],
    ) -> None:
        as_rows = RowStep(step, trained, trees)
        self.parameters = as_rows.parameters

        def backward(sums: Sequence[Tensor], *given: Any) -> tuple[Tensor, list[Tensor]]:
            of_carry, *gradients = as_rows.backward(*given)
            return of_carry, [s + g for s, g in zip(sums, gradients, strict=True)]

        values = [parameter.detach() for parameter in self.parameters]
        with torch.no_grad():
            after, outputs = as_rows.forward(values, *rows)
            self.forward = _traced(as_rows.forward, values, *rows)
            # Tracing tells tensors apart by identity: no two examples may be the same one.
            sums = [torch.zeros_like(value) for value in values]
            self.backward = _traced(backward, sums, values, *rows, after, outputs)

    def __call__(self, world: Tensor, start: Tensor, schedule: Tensor) -> tuple[Tensor, Tensor]:
        """Last carry in rows and outputs (time, outputs, num_envs)."""
        return _Unrolled.apply(self, world, start, schedule, *self.parameters)


def _traced(function: Callable[..., Any], *examples: Any) -> Callable[..., Any]:
    graph = make_fx(lambda *given: function(*given))(*examples)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return torch.compile(graph, dynamic=False)


class _Unrolled(torch.autograd.Function):
    """All steps forward, and backpropagation through time; the last carry has no gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        flow: CompiledFlow,
        world: Tensor,
        start: Tensor,
        schedule: Tensor,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor]:
        carries, outputs, moments = [start], [], schedule.unbind(0)
        for moment in moments:
            carry, now = flow.forward(parameters, world, carries[-1], moment)
            carries.append(carry)
            outputs.append(now)
        ctx.flow, ctx.world, ctx.moments, ctx.carries = flow, world, moments, carries[:-1]
        ctx.mark_non_differentiable(carries[-1])
        ctx.save_for_backward(*parameters)
        return carries[-1], torch.stack(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        parameters = ctx.saved_tensors
        of_carry = torch.zeros_like(ctx.carries[0])
        sums = [torch.zeros_like(parameter) for parameter in parameters]
        steps = zip(ctx.moments, ctx.carries, gradients[1].unbind(0), strict=True)
        for moment, carry, of_outputs in reversed(list(steps)):
            of_carry, sums = ctx.flow.backward(
                sums, parameters, ctx.world, carry, moment, of_carry, of_outputs
            )
        return None, None, None, None, *sums
