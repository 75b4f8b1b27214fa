"""The optimizer that training stands on."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from acclimate_training.algorithms.soap import Soap


def rotated_valley(seed: int = 0) -> tuple[nn.Parameter, Tensor, Tensor]:
    """A matrix to fit whose columns and rows are strongly coupled in the cost."""
    generator = torch.Generator().manual_seed(seed)

    def coupling(n: int) -> Tensor:
        basis = torch.linalg.qr(torch.randn(n, n, generator=generator))[0]
        return basis @ torch.diag(torch.logspace(0, -1.5, n)) @ basis.T

    return nn.Parameter(torch.ones(12, 8)), coupling(12), coupling(8)


def cost(weight: Tensor, left: Tensor, right: Tensor) -> Tensor:
    return (left @ weight @ right).square().sum()


def descend(optimizer: torch.optim.Optimizer, steps: int, *valley: Tensor) -> float:
    for _ in range(steps):
        optimizer.zero_grad()
        cost(*valley).backward()
        optimizer.step()
    return cost(*valley).item()


def test_coupled_weights_are_learned_further_than_by_adam() -> None:
    ours, theirs = rotated_valley(), rotated_valley()
    left = descend(Soap([ours[0]], lr=0.02), 400, *ours)
    beside = descend(torch.optim.Adam([theirs[0]], lr=0.02), 400, *theirs)
    assert left < 0.2 * beside


def test_a_vector_is_stepped_as_by_adam() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = nn.Parameter(torch.ones(5)), nn.Parameter(torch.ones(5))
    soap = Soap([ours], lr=0.1)
    adam = torch.optim.Adam([theirs], lr=0.1, betas=(0.9, 0.98))
    for _ in range(20):
        gradient = torch.randn(5, generator=generator)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        soap.step()
        adam.step()
    torch.testing.assert_close(ours, theirs)


def test_a_restored_optimizer_goes_on_bit_for_bit() -> None:
    whole = rotated_valley()
    optimizer = Soap([whole[0]], lr=0.02)
    descend(optimizer, 25, *whole)
    copy = nn.Parameter(whole[0].detach().clone())
    restored = Soap([copy], lr=0.02)
    restored.load_state_dict(deepcopy(optimizer.state_dict()))
    descend(optimizer, 25, *whole)
    descend(restored, 25, copy, *whole[1:])
    assert torch.equal(copy, whole[0])


def test_each_matrix_of_a_stack_is_stepped_as_if_alone() -> None:
    valleys = [rotated_valley(seed) for seed in range(3)]
    stack = nn.Parameter(torch.stack([weight.detach() for weight, _, _ in valleys]))
    left, right = (torch.stack([valley[side] for valley in valleys]) for side in (1, 2))
    descend(Soap([stack], lr=0.02), 25, stack, left, right)
    for valley, weight in zip(valleys, stack.detach(), strict=True):
        descend(Soap([valley[0]], lr=0.02), 25, *valley)
        torch.testing.assert_close(weight, valley[0].detach(), rtol=1e-3, atol=1e-4)
