"""A step in one compiled loop over time."""

import ctypes
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from acclimate_sim.fused.emit import Sizes, emit_backward, emit_forward
from acclimate_sim.fused.kernel import build, pointer
from acclimate_sim.fused.row_step import RowStep, Step
from acclimate_sim.fused.scalarize import Scalars, scalarize
from acclimate_sim.trees import first, pack


@dataclass(frozen=True, kw_only=True)
class Traced:
    """A step of one robot as programs of scalars.

    Attributes:
        parameters: What learns.
        forward: The step.
        backward: Its vector-Jacobian product; none where nothing learns.
        sizes: Numbers of rows.
    """

    parameters: list[nn.Parameter]
    forward: Scalars
    backward: Scalars | None
    sizes: Sizes

    def sources(self) -> list[str]:
        """C++ of each direction."""
        sources = [emit_forward(self.forward, self.sizes)]
        if self.backward is not None:
            shapes = [tuple(parameter.shape) for parameter in self.parameters]
            sources.append(emit_backward(self.backward, self.sizes, shapes))
        return sources


def trace(step: Step, trained: nn.Module, trees: tuple[Any, Any, Any]) -> Traced:
    """Trace a step for the first robot of the examples: constants, carry and moment.

    Raises:
        UnsupportedStepError: An operator of the step has no scalar form.
    """
    # Tensors of inference mode cannot be traced; copies made outside of it can.
    with torch.inference_mode(False), torch.no_grad():
        one = (first(trees[0]), first(trees[1]), first(trees[2]))
        as_rows = RowStep(step, trained, one)
        values = [parameter.detach() for parameter in as_rows.parameters]
        world, carry, moment = map(pack, one)
        after, outputs = as_rows.forward(values, world, carry, moment)
        rows = {"world": world, "carry": carry, "moment": moment}
        forward, backward = scalarize(as_rows.forward, values, rows), None
        if values:
            of_results = {"of_carry": after, "of_output": outputs}
            backward = scalarize(as_rows.backward, values, rows | of_results)
    sizes = Sizes(world=len(world), carry=len(carry), moment=len(moment), outputs=len(outputs))
    return Traced(parameters=as_rows.parameters, forward=forward, backward=backward, sizes=sizes)


class FusedLoop:
    """A step of float32 on a CPU, repeated over time, for any number of robots and steps.

    It is traced for one robot: in the step, robots must not know of each other or of their number.
    Threads share the robots, as many as torch uses.

    Args:
        step: The step.
        trees: Examples of the constants, the carry and the moment.
        trained: The module that learns, if one does.

    Raises:
        UnsupportedStepError: An operator of the step has no scalar form.
        CompilerError: There is no C++ compiler.
    """

    def __init__(
        self, step: Step, trees: tuple[Any, Any, Any], trained: nn.Module | None = None
    ) -> None:
        traced = trace(step, trained or nn.Module(), trees)
        self.parameters = traced.parameters
        """What learns, in the order of its gradients."""
        self._sizes = traced.sizes
        self._frozen = [s.frozen for s in (traced.forward, traced.backward) if s is not None]
        libraries = build(*traced.sources())
        self._forward, self._lanes = libraries[0].forward, libraries[0].lanes()
        self._backward = libraries[-1].backward if traced.backward is not None else None

    def run(
        self,
        world: Tensor,
        start: Tensor,
        schedule: Tensor,
        parameters: Sequence[Tensor] = (),
        tape: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Repeat the step; all arrays are in rows and padded, see `padded`.

        Args:
            world: (rows, num_envs), what is constant.
            start: (rows, num_envs), the first carry.
            schedule: (time, rows, num_envs), the moments.
            parameters: Values of what learns.
            tape: Where to note the carry before each step, see `new_tape`.

        Returns:
            Last carry, and outputs (time, outputs, num_envs).
        """
        last = torch.empty_like(start)
        outputs = world.new_empty(len(schedule), self._sizes.outputs, world.shape[1])
        noted = ctypes.c_void_p() if tape is None else pointer(tape)
        given = [pointer(world), pointer(start), pointer(schedule)]
        arrays = [*given, noted, pointer(last), pointer(outputs)]
        self._share(self._forward, schedule.shape, self._addresses(parameters, 0), [arrays])
        return last, outputs

    def run_back(
        self,
        world: Tensor,
        schedule: Tensor,
        parameters: Sequence[Tensor],
        tape: Tensor,
        of_outputs: Tensor,
    ) -> list[Tensor]:
        """Gradients of the parameters, summed over robots, given those of the outputs."""
        sizes = [parameter.numel() for parameter in parameters]
        sums = world.new_zeros(torch.get_num_threads(), sum(sizes))
        given = [pointer(x) for x in (world, schedule, tape, of_outputs)]
        arrays = [[*given, pointer(own)] for own in sums]
        self._share(self._backward, schedule.shape, self._addresses(parameters, 1), arrays)
        parts = sums.sum(0).split(sizes)
        return [part.view_as(p) for part, p in zip(parts, parameters, strict=True)]

    def new_tape(self, schedule: Tensor) -> Tensor:
        """Room for the carries of a whole schedule."""
        num_steps, _, num_envs = schedule.shape
        return schedule.new_empty(num_steps * self._sizes.carry * num_envs)

    def padded(self, rows: Tensor, *, last: bool) -> Tensor:
        """Rows (..., num_envs) filled up to whole lanes with the last robot, or with zeros."""
        missing = -rows.shape[-1] % self._lanes
        if not missing:
            return rows.contiguous()
        fill = rows[..., -1:] if last else torch.zeros_like(rows[..., -1:])
        return torch.cat((rows, fill.expand(*rows.shape[:-1], missing)), dim=-1)

    def _addresses(self, parameters: Sequence[Tensor], direction: int) -> Any:
        tensors = [*parameters, *(tensor.detach() for tensor in self._frozen[direction])]
        return (ctypes.c_void_p * len(tensors))(*(pointer(tensor) for tensor in tensors))

    def _share(
        self, function: Any, shape: torch.Size, addresses: Any, arrays: list[list[Any]]
    ) -> None:
        """Call a function once per thread, each for its share of the tiles of robots.

        Args:
            function: One direction.
            shape: Of the schedule.
            addresses: Of the parameters.
            arrays: Of each thread, or common to all.
        """
        num_tiles = shape[2] // self._lanes
        threads = min(torch.get_num_threads(), num_tiles)
        edges = [ctypes.c_long(num_tiles * i // threads) for i in range(threads + 1)]
        steps, stride = ctypes.c_long(shape[0]), ctypes.c_long(shape[2])

        def share(i: int) -> None:
            own = arrays[i % len(arrays)]
            function(edges[i], edges[i + 1], steps, stride, addresses, *own)

        if threads == 1:
            share(0)
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(share, range(threads)))
