"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024, arXiv 2409.11321).

The weights of a control policy are strongly coupled: gains on tilt, rate and speed must change
together. Adam scales each weight by itself; SOAP first turns a matrix of weights into the
directions in which its gradients came, and scales those. For the matrices of a small policy the
eigendecompositions cost nothing beside one flight, and training needs half the flights.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class Soap(torch.optim.Optimizer):
    """Gradient descent on matrices, or stacks of them, in their own coordinates; else it is Adam.

    Args:
        parameters: To optimise.
        lr: Step size.
        betas: How much of the means of gradient and squared gradient is kept per step.
        basis_beta: The same for the two covariances of a matrix's gradient.
        basis_interval: Steps between eigendecompositions.
        eps: Added to the root of the squared gradient.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.98),
        basis_beta: float = 0.97,
        basis_interval: int = 10,
        eps: float = 1e-8,
    ) -> None:
        self._betas, self._basis_beta = betas, basis_beta
        self._basis_interval, self._eps = basis_interval, eps
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take one step down the gradients that the parameters hold; there is no closure."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    state = self.state[parameter]
                    self._descend(parameter, parameter.grad, state, group["lr"])

    def _descend(
        self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], lr: float
    ) -> None:
        if not state:
            state |= _first_state(parameter)
        state["step"] += 1
        if gradient.ndim >= 2:
            self._turn(gradient, state)
        keep, keep_squared = self._betas
        state["mean"].lerp_(gradient, 1.0 - keep)
        turned = _turned(gradient, state)
        state["squared"].lerp_(turned.square(), 1.0 - keep_squared)
        mean = _turned(state["mean"], state) / (1.0 - keep ** state["step"])
        squared = state["squared"] / (1.0 - keep_squared ** state["step"])
        change = mean / (squared.sqrt() + self._eps)
        parameter.sub_(_turned_back(change, state), alpha=lr)

    def _turn(self, gradient: Tensor, state: dict[str, Any]) -> None:
        """Update the covariances and, now and then, the bases they give."""
        step = state["step"]
        fresh = 1.0 - min(self._basis_beta, 1.0 - 1.0 / step)  # a plain mean at first
        for side, matrix in (("left", gradient), ("right", gradient.mT)):
            covariance = state[f"{side}_covariance"]
            covariance.lerp_(matrix @ matrix.mT, fresh)
            if step == 1 or step % self._basis_interval == 0:
                basis = torch.linalg.eigh(covariance.double()).eigenvectors
                state[f"{side}_basis"] = basis.to(covariance.dtype)


def _first_state(parameter: Tensor) -> dict[str, Any]:
    state = {
        "step": 0,
        "mean": torch.zeros_like(parameter),
        "squared": torch.zeros_like(parameter),
    }
    if parameter.ndim >= 2:
        *stack, rows, columns = parameter.shape
        state["left_covariance"] = parameter.new_zeros(*stack, rows, rows)
        state["right_covariance"] = parameter.new_zeros(*stack, columns, columns)
    return state


def _turned(matrix: Tensor, state: dict[str, Any]) -> Tensor:
    """Into the basis, where there is one."""
    if "left_basis" not in state:
        return matrix
    return state["left_basis"].mT @ matrix @ state["right_basis"]


def _turned_back(matrix: Tensor, state: dict[str, Any]) -> Tensor:
    if "left_basis" not in state:
        return matrix
    return state["left_basis"] @ matrix @ state["right_basis"].mT
