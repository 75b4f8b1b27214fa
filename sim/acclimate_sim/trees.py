"""Trees of per-robot tensors: as one tensor of rows and back, and tensor by tensor.

A tree is a tensor (num_envs, *shape), a dataclass or a tuple of trees, or none. As rows, the long
axis lies last and in one piece, so that loops over robots vectorise.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

Tree = TypeVar("Tree")


def pack(tree: Any) -> Tensor:
    """All numbers of a tree, (rows, num_envs)."""
    return torch.cat([leaf.reshape(len(leaf), _width(leaf)).T for leaf in leaves_of(tree)])


def unpack(rows: Tensor, like: Tree) -> Tree:
    """The tree whose rows (rows, num_envs) these are; `like` tells the shapes of one robot."""
    leaves = list(leaves_of(like))
    parts = rows.split([_width(leaf) for leaf in leaves])
    shaped = (
        part.T.reshape(part.shape[1], *leaf.shape[1:])
        for part, leaf in zip(parts, leaves, strict=True)
    )
    return _rebuilt(like, shaped)


def pack_steps(tree: Any) -> Tensor:
    """`pack` for a tree with a leading time axis, (time, rows, num_envs)."""
    parts = (leaf.reshape(*leaf.shape[:2], _width(leaf[0])).mT for leaf in leaves_of(tree))
    return torch.cat(list(parts), dim=1)


def steps(tree: Tree) -> Iterator[Tree]:
    """The trees of one step each, of a tree with a leading time axis."""
    for leaves in zip(*(leaf.unbind(0) for leaf in leaves_of(tree)), strict=True):
        yield _rebuilt(tree, iter(leaves))


def mapped(function: Callable[..., Tensor], *trees: Tree) -> Tree:
    """Build a tree by applying a function to the tensors that stand at the same place."""
    return _rebuilt(trees[0], map(function, *map(leaves_of, trees)))


def with_envs(tree: Tree, envs: Tensor, new: Tree) -> Tree:
    """Replace the robots `envs` (n,) by the `n` robots of another tree."""
    return mapped(lambda old, put: old.index_put((envs,), put), tree, new)


def first(tree: Tree) -> Tree:
    """The tree of the first robot alone."""
    return mapped(lambda leaf: leaf[:1].clone(), tree)


def leaves_of(tree: Any) -> Iterator[Tensor]:
    """The tensors of a tree, in order."""
    if isinstance(tree, Tensor):
        yield tree
    elif tree is not None:
        for branch in tree if isinstance(tree, tuple) else _branches(tree).values():
            yield from leaves_of(branch)


def _width(leaf: Tensor) -> int:
    return math.prod(leaf.shape[1:])


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
