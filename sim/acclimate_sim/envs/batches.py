"""Rows of batches: frozen dataclasses, also nested ones, whose tensors share their first axis."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import torch
from torch import Tensor

Batch = TypeVar("Batch")


def mapped(function: Callable[..., Tensor], *batches: Batch) -> Batch:
    """Build a batch by applying a function to the tensors that stand at the same place."""
    return _mapped(function, *batches)


def with_rows(batch: Batch, index: Tensor, new: Batch) -> Batch:
    """Replace the rows at `index` (n,) by the `n` rows of another batch."""
    return mapped(lambda old, put: old.index_put((index,), put), batch, new)


def leaves(batch: object) -> list[Tensor]:
    """All tensors of a batch, in the order of the fields."""
    found: list[Tensor] = []
    mapped(lambda tensor: found.append(tensor) or tensor, batch)
    return found


def packed(batch: object) -> Tensor:
    """All numbers of a batch side by side, (n, width)."""
    return torch.cat([leaf.reshape(len(leaf), -1) for leaf in leaves(batch)], dim=1)


def unpacked(like: Batch, numbers: Tensor) -> Batch:
    """Undo `packed` for any number of rows; `like` has one row and tells the shapes."""
    parts = iter(numbers.split([leaf.numel() for leaf in leaves(like)], dim=1))
    return mapped(lambda leaf: next(parts).reshape(-1, *leaf.shape[1:]), like)


def _mapped(function: Callable[..., Tensor], *parts: Any) -> Any:
    first = parts[0]
    if isinstance(first, Tensor):
        return function(*parts)
    names = [field.name for field in fields(first)]
    values = {name: _mapped(function, *(getattr(part, name) for part in parts)) for name in names}
    return type(first)(**values)
