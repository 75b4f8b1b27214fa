"""Tensors that an engine has made something of, which holds as long as nobody writes to them."""

from collections.abc import Iterable

from torch import Tensor


class Watched:
    """The tensors of a call, as they were then."""

    def __init__(self) -> None:
        self._tensors: tuple[Tensor, ...] = ()
        self._versions: tuple[int, ...] = ()

    def watch(self, tensors: Iterable[Tensor]) -> None:
        """Remember these from now on, and no others."""
        self._tensors = tuple(tensors)
        self._versions = _versions(self._tensors)

    def unchanged(self, tensors: Iterable[Tensor]) -> bool:
        """Whether these are the very tensors, which nobody wrote to since.

        Tensors of inference mode do not count what is written to them: they are taken for changed.
        """
        given = tuple(tensors)
        if len(given) != len(self._tensors):
            return False
        if any(a is not b for a, b in zip(given, self._tensors, strict=True)):
            return False
        versions = _versions(given)
        return bool(versions) and versions == self._versions


def _versions(tensors: tuple[Tensor, ...]) -> tuple[int, ...]:
    """How often each was written to; empty if one does not count."""
    if any(tensor.is_inference() for tensor in tensors):
        return ()
    return tuple(tensor._version for tensor in tensors)
