"""A step repeated over time, forward and backward.

Two ways to the same numbers. `looped` calls the step and leaves the gradient to autograd.
`compiled` traces the step and its vector-Jacobian product once and then runs two compiled functions
back to back: it keeps only what flows from step to step and computes everything else again on
the way back, in registers, which costs less than to store it. Little of Python's bookkeeping
around a step remains; for the small batches of a CPU core that was more than half of the time.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from acclimate_training.rows import pack, unpack

Carry = TypeVar("Carry")

Step = Callable[..., tuple[Any, *tuple[Tensor, ...]]]
"""Called with what is constant, the carry and the moment; gives the next carry and any number of
outputs, each (num_envs,). All but the outputs are trees, see `acclimate_training.rows`."""


class Unroll(Protocol):
    """Runs a step for every moment."""

    def __call__(
        self, constants: tuple[Any, ...], carry: Carry, moments: Iterable[Any]
    ) -> tuple[Carry, tuple[Tensor, ...]]:
        """Give the last carry and each output (time, num_envs), through which gradients flow."""
        ...


def make_unroll(step: Step, trained: nn.Module, *, compile: bool) -> Unroll:
    """Unroll a step in which the parameters of `trained` learn."""
    return _Compiled(step, trained) if compile else looped(step)


def looped(step: Step) -> Unroll:
    """Unroll a step as it is written."""

    def unroll(constants: tuple[Any, ...], carry: Any, moments: Iterable[Any]) -> Any:
        outputs = []
        for moment in moments:
            carry, *now = step(*constants, carry, moment)
            outputs.append(now)
        return carry, tuple(torch.stack(column) for column in zip(*outputs, strict=True))

    return unroll


class _Compiled:
    """An `Unroll` that compiles anew only for batches of another shape."""

    def __init__(self, step: Step, trained: nn.Module) -> None:
        self._step, self._trained = step, trained
        self._flows: dict[tuple[torch.Size, ...], _Flow] = {}

    def __call__(
        self, constants: tuple[Any, ...], carry: Any, moments: Iterable[Any]
    ) -> tuple[Any, tuple[Tensor, ...]]:
        trees = list(moments)
        world, start = pack(constants), pack(carry)
        schedule = [pack(moment) for moment in trees]
        flow = self._flow((constants, carry, trees[0]), (world, start, schedule[0]))
        last, outputs = _Unrolled.apply(flow, world, start, schedule, *flow.parameters)
        return unpack(last, carry), outputs.unbind(1)

    def _flow(self, trees: tuple[Any, Any, Any], rows: tuple[Tensor, Tensor, Tensor]) -> "_Flow":
        shapes = tuple(r.shape for r in rows)
        if shapes not in self._flows:
            self._flows[shapes] = _Flow(self._step, self._trained, trees, rows)
        return self._flows[shapes]


class _Flow:
    """One compiled step from rows to rows, and its way back.

    Attributes:
        parameters: What learns, in the order of its gradients.
        forward: (parameters, world, carry, moment) -> (next carry, outputs).
        backward: (parameters, world, carry, moment, gradient of the next carry, of the outputs,
            sums of the parameters' gradients so far) -> (gradient of the carry, sums).
    """

    def __init__(
        self,
        step: Step,
        trained: nn.Module,
        trees: tuple[Any, Any, Any],
        rows: tuple[Tensor, Tensor, Tensor],
    ) -> None:
        bound = _Bound(step, trained)
        names = [name for name, _ in bound.named_parameters()]
        self.parameters = [parameter for _, parameter in bound.named_parameters()]

        def forward(
            parameters: Sequence[Tensor], world: Tensor, carry: Tensor, moment: Tensor
        ) -> tuple[Tensor, Tensor]:
            given = zip((world, carry, moment), trees, strict=True)
            constants, *others = (unpack(value, tree) for value, tree in given)
            named = dict(zip(names, parameters, strict=True))
            after, *outputs = torch.func.functional_call(bound, named, (*constants, *others))
            return pack(after), torch.stack(outputs)

        def backward(
            parameters: Sequence[Tensor],
            world: Tensor,
            carry: Tensor,
            moment: Tensor,
            of_carry: Tensor,
            of_outputs: Tensor,
            sums: Sequence[Tensor],
        ) -> tuple[Tensor, list[Tensor]]:
            with torch.enable_grad():
                inputs = [x.detach().requires_grad_() for x in (carry, *parameters)]
                results = forward(inputs[1:], world, inputs[0], moment)
                gradients = torch.autograd.grad(results, inputs, (of_carry, of_outputs))
            return gradients[0], [s + g for s, g in zip(sums, gradients[1:], strict=True)]

        values = [parameter.detach() for parameter in self.parameters]
        with torch.no_grad():
            after, outputs = forward(values, *rows)
            self.forward = _traced(forward, values, *rows)
            # Tracing tells tensors apart by identity: no two examples may be the same one.
            sums = [torch.zeros_like(value) for value in values]
            self.backward = _traced(backward, values, *rows, after, outputs, sums)


class _Bound(nn.Module):
    """A step as a module, so that it can be called with other parameters than its own."""

    def __init__(self, step: Step, trained: nn.Module) -> None:
        super().__init__()
        self.trained = trained
        self._step = step

    def forward(self, *given: Any) -> Any:
        return self._step(*given)


def _traced(function: Callable[..., Any], *examples: Any) -> Callable[..., Any]:
    graph = make_fx(function)(*examples)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return torch.compile(graph, dynamic=False)


class _Unrolled(torch.autograd.Function):
    """All steps forward, and backpropagation through time; the last carry has no gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        flow: _Flow,
        world: Tensor,
        start: Tensor,
        schedule: list[Tensor],
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor]:
        carries, outputs = [start], []
        for moment in schedule:
            carry, now = flow.forward(parameters, world, carries[-1], moment)
            carries.append(carry)
            outputs.append(now)
        ctx.flow, ctx.world, ctx.schedule, ctx.carries = flow, world, schedule, carries[:-1]
        ctx.mark_non_differentiable(carries[-1])
        ctx.save_for_backward(*parameters)
        return carries[-1], torch.stack(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        parameters = ctx.saved_tensors
        of_carry = torch.zeros_like(ctx.carries[0])
        sums = [torch.zeros_like(parameter) for parameter in parameters]
        steps = zip(ctx.schedule, ctx.carries, gradients[1].unbind(0), strict=True)
        for moment, carry, of_outputs in reversed(list(steps)):
            of_carry, sums = ctx.flow.backward(
                parameters, ctx.world, carry, moment, of_carry, of_outputs, sums
            )
        return None, None, None, None, *sums
