"""A step of trees as functions of rows, forward and backward; see `rows`."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from acclimate_sim.trees import pack, unpack

Step = Callable[..., tuple[Any, *tuple[Tensor, ...]]]
"""Called with what is constant, the carry and the moment; gives the next carry and any number of
outputs, each (num_envs,). All but the outputs are trees, see `acclimate_sim.trees`."""


class RowStep:
    """A step in which the parameters of a module learn, as two pure functions.

    Args:
        step: The step.
        trained: The module.
        trees: Examples of the constants, the carry and the moment, which tell their shapes.
    """

    def __init__(self, step: Step, trained: nn.Module, trees: tuple[Any, Any, Any]) -> None:
        self._bound = _Bound(step, trained)
        self._names = [name for name, _ in self._bound.named_parameters()]
        self._trees = trees
        self.parameters = [parameter for _, parameter in self._bound.named_parameters()]
        """What learns, in the order of its gradients."""

    def forward(
        self, parameters: Sequence[Tensor], world: Tensor, carry: Tensor, moment: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Next carry and outputs, both in rows."""
        given = zip((world, carry, moment), self._trees, strict=True)
        constants, *others = (unpack(value, tree) for value, tree in given)
        named = dict(zip(self._names, parameters, strict=True))
        after, *outputs = torch.func.functional_call(self._bound, named, (*constants, *others))
        after = pack(after)
        return after, torch.stack(outputs) if outputs else after[:0]

    def backward(
        self,
        parameters: Sequence[Tensor],
        world: Tensor,
        carry: Tensor,
        moment: Tensor,
        of_carry: Tensor,
        of_outputs: Tensor,
    ) -> tuple[Tensor, ...]:
        """Gradients of the carry and of each parameter, given those of the results."""
        with torch.enable_grad():
            inputs = [x.detach().requires_grad_() for x in (carry, *parameters)]
            results = self.forward(inputs[1:], world, inputs[0], moment)
            return torch.autograd.grad(results, inputs, (of_carry, of_outputs))


class _Bound(nn.Module):
    """A step as a module, so that it can be called with other parameters than its own."""

    def __init__(self, step: Step, trained: nn.Module) -> None:
        super().__init__()
        self.trained = trained
        self._step = step

    def forward(self, *given: Any) -> Any:
        return self._step(*given)
