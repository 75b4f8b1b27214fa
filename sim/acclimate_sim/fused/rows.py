"""Trees of per-robot tensors as one tensor of rows, and back.

A tree is a tensor (num_envs, *shape), a dataclass or a tuple of trees, or none. As rows, the long
axis lies last and in one piece, so that loops over robots vectorise.
"""

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

Tree = TypeVar("Tree")


def pack(tree: Any) -> Tensor:
    """All numbers of a tree, (rows, num_envs)."""
    return torch.cat([leaf.reshape(len(leaf), _width(leaf)).T for leaf in _leaves(tree)])


def unpack(rows: Tensor, like: Tree) -> Tree:
    """The tree whose rows these are, shaped like another one."""
    leaves = list(_leaves(like))
    parts = rows.split([_width(leaf) for leaf in leaves])
    shaped = (part.T.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True))
    return _rebuilt(like, shaped)


def pack_steps(tree: Any) -> Tensor:
    """`pack` for a tree with a leading time axis, (time, rows, num_envs)."""
    parts = (leaf.reshape(*leaf.shape[:2], _width(leaf[0])).mT for leaf in _leaves(tree))
    return torch.cat(list(parts), dim=1)


def steps(tree: Tree) -> Iterator[Tree]:
    """The trees of one step each, of a tree with a leading time axis."""
    for leaves in zip(*(leaf.unbind(0) for leaf in _leaves(tree)), strict=True):
        yield _rebuilt(tree, iter(leaves))


def first(tree: Tree) -> Tree:
    """The tree of the first robot alone."""
    return _rebuilt(tree, (leaf[:1].clone() for leaf in _leaves(tree)))


def _width(leaf: Tensor) -> int:
    return math.prod(leaf.shape[1:])


def _leaves(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif tree is not None:
        for branch in tree if isinstance(tree, tuple) else _branches(tree).values():
            yield from _leaves(branch)


def _rebuilt(tree: Any, leaves: Iterator[Tensor]) -> Any:
    if tree is None:
        return None
    if isinstance(tree, Tensor):
        return next(leaves)
    if isinstance(tree, tuple):
        return tuple(_rebuilt(branch, leaves) for branch in tree)
    branches = {name: _rebuilt(branch, leaves) for name, branch in _branches(tree).items()}
    return replace(tree, **branches)


def _branches(tree: Any) -> dict[str, Any]:
    assert is_dataclass(tree), f"{type(tree).__name__} is no tree of tensors"
    return {f.name: getattr(tree, f.name) for f in fields(tree)}
