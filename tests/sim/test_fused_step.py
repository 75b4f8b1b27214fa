"""A single compiled step: numbers wherever they lie, and as many threads as there are."""

import os
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from acclimate_sim.fused import FusedStep, single

WEIGHTS = torch.linspace(-1.0, 1.0, 40)
"""Too many to be written into the program: they are read from memory."""


def mixed(world: Tensor, carry: tuple[Tensor, Tensor], moment: Tensor) -> tuple[tuple]:
    """A step of a matrix, a vector and a number per robot."""
    vector, number = carry
    push = (world * vector.unsqueeze(1)).sum(-1) + moment
    drift = (WEIGHTS * number.unsqueeze(-1)).sum(-1)
    return ((torch.tanh(push), torch.sqrt(1.0 + number * number) + drift),)


@pytest.fixture(scope="module")
def compiled() -> FusedStep:
    return FusedStep(mixed, ((torch.ones(1, 3, 3),), trees(1)[1], torch.ones(1, 3)))


def trees(n: int) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
    generator = torch.Generator().manual_seed(n)
    world = torch.randn(n, 3, 3, generator=generator)
    carry = torch.randn(n, 3, generator=generator), torch.randn(n, generator=generator)
    return world, carry, torch.randn(n, 3, generator=generator)


def contiguous(tensor: Tensor) -> Tensor:
    return tensor.contiguous()


def in_rows(tensor: Tensor) -> Tensor:
    """The robots last in memory."""
    return tensor.movedim(0, -1).contiguous().movedim(-1, 0)


def every_second(tensor: Tensor) -> Tensor:
    """A slice of something larger, whose other numbers are none."""
    larger = torch.full((2 * len(tensor), *tensor.shape[1:]), float("nan"))
    larger[::2] = tensor
    return larger[::2]


LAYOUTS = (contiguous, in_rows, every_second)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 70), layouts=st.tuples(*[st.sampled_from(LAYOUTS)] * 4))
def test_robots_are_read_however_they_lie(
    compiled: FusedStep, n: int, layouts: tuple[Callable[[Tensor], Tensor], ...]
) -> None:
    world, carry, moment = trees(n)
    expected = mixed(world, carry, moment)[0]
    a, b, c, d = layouts
    vector, number = compiled(compiled.rows((a(world),)), (b(carry[0]), c(carry[1])), d(moment))
    torch.testing.assert_close(vector, expected[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(number, expected[1], rtol=1e-5, atol=1e-5)
    assert vector.is_contiguous()


@pytest.mark.parametrize("n", [1, 16, 37])
def test_what_is_the_same_for_all_may_be_a_single_number(compiled: FusedStep, n: int) -> None:
    world, carry, _ = trees(n)
    rows, ones = compiled.rows((world,)), torch.ones(n, 3)
    for one in (torch.ones(1, 1).expand(n, 3), torch.ones(1, 3).expand(n, 3)):
        for a, b in zip(compiled(rows, carry, one), compiled(rows, carry, ones), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("n", [1, 8, 16, 37, 200])
def test_blocks_hold_the_same_robots(compiled: FusedStep, n: int) -> None:
    world, carry, moment = trees(n)
    copied = compiled(compiled.blocks((world,)), carry, moment)
    for a, b in zip(copied, compiled(compiled.rows((world,)), carry, moment), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("threads", [2, 3, 7])
@pytest.mark.parametrize("n", [17, 100, 1003])
def test_threads_change_nothing_at_all(
    compiled: FusedStep, n: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit by bit: a robot does not know which thread it flies in."""
    world, carry, moment = trees(n)
    blocks = compiled.blocks((world,))
    alone = compiled(blocks, carry, moment)
    monkeypatch.setattr(single, "SHARE", 16)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    asked = []
    pool = single._pool
    monkeypatch.setattr(single, "_pool", lambda count: asked.append(count) or pool(count))
    for a, b in zip(compiled(blocks, carry, moment), alone, strict=True):
        assert torch.equal(a, b)
    assert len(asked) == min(threads, max(1, n // 16)) - 1


def test_threads_are_had_anew_in_a_forked_process() -> None:
    """Those of its parent are not there, and waiting for them would never end."""
    assert single._pool(2).submit(os.getpid).result() == os.getpid()
    child = os.fork()
    if child == 0:
        os._exit(single._pool(2).submit(int, "7").result(timeout=20.0))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
