"""A single step in one compiled loop over robots, without gradients and without copies."""

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from acclimate_sim.fused.emit import emit_step
from acclimate_sim.fused.kernel import build
from acclimate_sim.fused.loop import trace
from acclimate_sim.fused.row_step import Step
from acclimate_sim.trees import leaves_of, mapped, pack

Tree = TypeVar("Tree")

SHARE = 8192
"""Robots that are worth a thread: it takes as long to start as 1,000 of them take."""


class _Leaf(ctypes.Structure):
    """Where numbers of all robots lie; see `lanes.h`."""

    _fields_ = (
        ("first", ctypes.c_void_p),
        ("lane", ctypes.c_long),
        ("block", ctypes.c_long),
        ("column", ctypes.c_long),
        ("width", ctypes.c_long),
    )


class Rows:
    """Where the numbers of a tree lie; they stay there as long as this exists.

    Args:
        tensors: What holds them.
        places: Address of the first number, then distances between robots, between blocks of
            them, and between the numbers of one; how many those are.
    """

    def __init__(self, tensors: list[Tensor], places: list[tuple[int, ...]]) -> None:
        self._tensors = tensors
        self.places = (_Leaf * len(places))(*places)


class FusedStep:
    """A step of float32 trees on a CPU; see `FusedLoop` for what a step may do.

    Numbers are read where they lie and written once: of many robots, moving memory is most of the
    work. Threads share the robots, as many as torch uses; a robot comes out the same from any.

    Args:
        step: The step, without outputs.
        trees: Examples of the constants, the carry and the moment.

    Raises:
        UnsupportedStepError: An operator of the step has no scalar form.
        CompilerError: There is no C++ compiler.
    """

    def __init__(self, step: Step, trees: tuple[Any, Any, Any]) -> None:
        traced = trace(step, nn.Module(), trees)
        (library,) = build(emit_step(traced.forward, traced.sizes))
        self._step, self._lanes = library.step, library.lanes()
        self._frozen = traced.forward.frozen
        addresses = (tensor.data_ptr() for tensor in self._frozen)
        self._parameters = (ctypes.c_void_p * len(self._frozen))(*addresses)

    def __call__(self, world: Rows, carry: Tree, moment: Any) -> Tree:
        """The next carry, in contiguous tensors.

        Args:
            world: Of the constants, see `rows` and `blocks`.
            carry: Tree of tensors (num_envs, ...).
            moment: Likewise.
        """
        after = mapped(lambda leaf: leaf.new_empty(leaf.shape), carry)
        rows = (world, *map(self.rows, (carry, moment, after)))
        num_envs = len(next(leaves_of(carry)))
        self._share(num_envs, (self._parameters, *(r.places for r in rows)))
        return after

    def rows(self, tree: Any) -> Rows:
        """Numbers of a tree where they are."""
        tensors = [leaf if leaf.ndim < 3 else leaf.flatten(1) for leaf in leaves_of(tree)]
        places = []
        for tensor in tensors:
            lane, *column = tensor.stride()
            width = tensor.shape[1] if column else 1
            places.append((tensor.data_ptr(), lane, lane * self._lanes, *(column or (0,)), width))
        return Rows(tensors, places)

    def blocks(self, tree: Any) -> Rows:
        """A copy that is read in one stream: blocks of as many robots as there are lanes."""
        packed = pack(tree)
        missing = -packed.shape[1] % self._lanes
        padded = torch.cat((packed, packed[:, -1:].expand(-1, missing)), dim=1)
        blocks = padded.unflatten(1, (-1, self._lanes)).transpose(0, 1).contiguous()
        _, width, lanes = blocks.shape
        return Rows([blocks], [(blocks.data_ptr(), 1, width * lanes, lanes, width)])

    def _share(self, num_envs: int, given: tuple[Any, ...]) -> None:
        """Give each thread whole blocks; this one takes the last share."""
        threads = max(1, min(torch.get_num_threads(), num_envs // SHARE))
        num_blocks = num_envs // self._lanes
        edges = [num_blocks * i // threads * self._lanes for i in range(threads)] + [num_envs]
        *others, own = pairwise(map(ctypes.c_long, edges))
        helpers = [_pool(threads).submit(self._step, *edge, *given) for edge in others]
        self._step(*own, *given)
        for helper in helpers:
            helper.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Helpers that stay: to start a thread takes as long as some thousand robots."""
    return ThreadPoolExecutor(threads - 1)


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not come along into a fork
