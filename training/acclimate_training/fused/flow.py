"""Flights in one compiled loop over time, forward and backward."""

import ctypes
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn

from acclimate_training.fused.emit import emit
from acclimate_training.fused.kernel import build, pointer
from acclimate_training.fused.scalarize import scalarize
from acclimate_training.row_step import RowStep, Step
from acclimate_training.rows import first, pack


class FusedFlow:
    """A step of float32 on a CPU, for any number of robots and steps.

    It is traced for one robot: in the step, robots must not know of each other or of their number.
    Threads share the robots, as many as torch uses.

    Args:
        step: The step.
        trained: The module that learns.
        trees: Examples of the constants, the carry and the moment.

    Raises:
        UnsupportedStepError: An operator of the step has no scalar form.
        CompilerError: There is no C++ compiler.
    """

    def __init__(self, step: Step, trained: nn.Module, trees: tuple[Any, Any, Any]) -> None:
        one = tuple(first(tree) for tree in trees)
        as_rows = RowStep(step, trained, one)
        self.parameters = as_rows.parameters
        values = [parameter.detach() for parameter in self.parameters]
        world, carry, moment = map(pack, one)
        with torch.no_grad():
            after, outputs = as_rows.forward(values, world, carry, moment)
            rows = {"world": world, "carry": carry, "moment": moment}
            forward = scalarize(as_rows.forward, values, rows)
            rows |= {"of_carry": after, "of_output": outputs}
            backward = scalarize(as_rows.backward, values, rows)
        sizes = {
            "num_world": len(world),
            "num_carry": len(carry),
            "num_moment": len(moment),
            "num_outputs": len(outputs),
        }
        sources = emit(forward, backward, sizes, [tuple(value.shape) for value in values])
        self._num_carry, self._num_outputs = len(carry), len(outputs)
        self._frozen = forward.frozen, backward.frozen
        there, back = build(*sources)
        self._forward, self._backward, self._lanes = there.forward, back.backward, there.lanes()

    def __call__(self, world: Tensor, start: Tensor, schedule: Tensor) -> tuple[Tensor, Tensor]:
        """Last carry in rows and outputs (time, outputs, num_envs)."""
        return _Fused.apply(self, world, start, schedule, *self.parameters)

    def fly(
        self, parameters: Sequence[Tensor], world: Tensor, start: Tensor, schedule: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tape of all carries, last carry and outputs, for a full number of lanes."""
        num_steps, num_envs = len(schedule), world.shape[1]
        tape = world.new_empty(num_steps * self._num_carry * num_envs)
        last = torch.empty_like(start)
        outputs = world.new_empty(num_steps, self._num_outputs, num_envs)
        arrays = (world, start, schedule, tape, last, outputs)
        self._share(
            self._forward,
            (num_steps, num_envs),
            self._addresses(parameters, self._frozen[0]),
            [[*map(pointer, arrays)] for _ in range(torch.get_num_threads())],
        )
        return tape, last, outputs

    def trace_back(
        self,
        parameters: Sequence[Tensor],
        world: Tensor,
        schedule: Tensor,
        tape: Tensor,
        of_outputs: Tensor,
    ) -> list[Tensor]:
        """Gradients of the parameters, summed over robots."""
        num_threads = torch.get_num_threads()
        sizes = [parameter.numel() for parameter in parameters]
        sums = world.new_zeros(num_threads, sum(sizes))
        arrays = (world, schedule, tape, of_outputs)
        self._share(
            self._backward,
            (len(schedule), world.shape[1]),
            self._addresses(parameters, self._frozen[1]),
            [[*map(pointer, arrays), pointer(own)] for own in sums],
        )
        parts = sums.sum(0).split(sizes)
        return [part.view_as(p) for part, p in zip(parts, parameters, strict=True)]

    def padded(self, rows: Tensor, *, last: bool) -> Tensor:
        """Rows (..., num_envs) filled up to whole lanes with the last robot, or with zeros."""
        missing = -rows.shape[-1] % self._lanes
        if not missing:
            return rows.contiguous()
        fill = rows[..., -1:] if last else torch.zeros_like(rows[..., -1:])
        return torch.cat((rows, fill.expand(*rows.shape[:-1], missing)), dim=-1)

    def _addresses(self, parameters: Sequence[Tensor], frozen: Sequence[Tensor]) -> Any:
        tensors = [*parameters, *(tensor.detach() for tensor in frozen)]
        return (ctypes.c_void_p * len(tensors))(*(pointer(tensor) for tensor in tensors))

    def _share(
        self, function: Any, sizes: tuple[int, int], addresses: Any, arrays: list[list[Any]]
    ) -> None:
        """Call a function once per thread, each for its share of the tiles of robots."""
        num_tiles, threads = sizes[1] // self._lanes, len(arrays)
        edges = [ctypes.c_long(num_tiles * i // threads) for i in range(threads + 1)]
        steps, stride = map(ctypes.c_long, sizes)

        def share(i: int) -> None:
            function(edges[i], edges[i + 1], steps, stride, addresses, *arrays[i])

        if threads == 1:
            share(0)
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(share, range(threads)))


class _Fused(torch.autograd.Function):
    """All steps forward, and backpropagation through time; the last carry has no gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        flow: FusedFlow,
        world: Tensor,
        start: Tensor,
        schedule: Tensor,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor]:
        num_envs = world.shape[1]
        world, start, schedule = (flow.padded(x, last=True) for x in (world, start, schedule))
        tape, last, outputs = flow.fly(parameters, world, start, schedule)
        ctx.flow = flow
        ctx.save_for_backward(world, schedule, tape, *parameters)
        last = last[:, :num_envs]
        ctx.mark_non_differentiable(last)
        return last, outputs[..., :num_envs]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        world, schedule, tape, *parameters = ctx.saved_tensors
        of_outputs = ctx.flow.padded(gradients[1], last=False)
        of_parameters = ctx.flow.trace_back(parameters, world, schedule, tape, of_outputs)
        return None, None, None, None, *of_parameters
