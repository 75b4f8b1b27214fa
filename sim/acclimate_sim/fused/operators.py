"""What each operator of torch does to arrays of scalars.

Arrays are numpy arrays of values of a `Program`; views of them are views, as in torch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from acclimate_sim.fused.program import Program, Value

Array = np.ndarray

LARGE_PRODUCT = 64
"""Multiplications from which a product of matrices stays a loop."""


def constants(program: Program, numbers: Any) -> Array:
    """Constants from plain numbers."""
    numbers = np.asarray(numbers)
    flat = [program.constant(number) for number in numbers.ravel().tolist()]
    return np.array(flat, dtype=np.int64).reshape(numbers.shape)


def elementwise(function: Callable[..., Value], *arrays: Array) -> Array:
    """Apply to each element, with broadcasting."""
    together = np.broadcast_arrays(*arrays)
    flat = [
        function(*values) for values in zip(*(a.ravel().tolist() for a in together), strict=True)
    ]
    return np.array(flat, dtype=np.int64).reshape(together[0].shape)


class Operators:
    """The operators, bound to a program; a method's name is the operator's in `torch.ops.aten`."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def _array(self, x: Any) -> Array:
        return x if isinstance(x, np.ndarray) else constants(self.program, x)

    def _numbers(self, x: Any) -> Array:
        return elementwise(self.program.numeric, self._array(x))

    def _binary(self, function: Callable[[Value, Value], Value], a: Any, b: Any) -> Array:
        return elementwise(function, self._numbers(a), self._numbers(b))

    def _unary(self, name: str, a: Any) -> Array:
        return elementwise(lambda x: self.program.write(name, x), self._numbers(a))

    def _fold(
        self, function: Callable[[Value, Value], Value], a: Array, dim: Any, keep: bool
    ) -> Array:
        """Reduce over axes, from the first element to the last."""
        axes = range(a.ndim) if dim is None or dim == [] else np.atleast_1d(dim).tolist()
        for axis in sorted((axis % a.ndim for axis in axes), reverse=True):
            slices = list(np.moveaxis(a, axis, 0))
            folded = slices[0]
            for other in slices[1:]:
                folded = elementwise(function, folded, other)
            a = np.expand_dims(folded, axis) if keep else folded
        return a

    # Arithmetic

    def add(self, a: Any, b: Any, *, alpha: float = 1.0) -> Array:
        return self._binary(self.program.add, a, b if alpha == 1.0 else self.mul(b, alpha))

    def sub(self, a: Any, b: Any, *, alpha: float = 1.0) -> Array:
        return self._binary(self.program.subtract, a, b if alpha == 1.0 else self.mul(b, alpha))

    def rsub(self, a: Any, b: Any, alpha: float = 1.0) -> Array:
        return self.sub(b, a, alpha=alpha)

    def mul(self, a: Any, b: Any) -> Array:
        return self._binary(self.program.multiply, a, b)

    def div(self, a: Any, b: Any) -> Array:
        return self._binary(self.program.divide, a, b)

    def neg(self, a: Any) -> Array:
        return elementwise(self.program.negate, self._numbers(a))

    def reciprocal(self, a: Any) -> Array:
        return self.div(1.0, a)

    def abs(self, a: Any) -> Array:
        return self._unary("abs", a)

    def sqrt(self, a: Any) -> Array:
        return self._unary("sqrt", a)

    def rsqrt(self, a: Any) -> Array:
        return self.div(1.0, self.sqrt(a))

    def exp(self, a: Any) -> Array:
        return self._unary("exp", a)

    def log(self, a: Any) -> Array:
        return self._unary("log", a)

    def tanh(self, a: Any) -> Array:
        return self._unary("tanh", a)

    def sigmoid(self, a: Any) -> Array:
        return self._unary("sigmoid", a)

    def softplus(self, a: Any, beta: float = 1.0, threshold: float = 20.0) -> Array:
        scaled = self.mul(a, beta)
        smooth = self.div(self._unary("softplus", scaled), beta)
        return self.where(self.le(scaled, threshold), smooth, a)

    def sgn(self, a: Any) -> Array:
        return self.sub(
            self.where(self.gt(a, 0.0), 1.0, 0.0), self.where(self.lt(a, 0.0), 1.0, 0.0)
        )

    def relu(self, a: Any) -> Array:
        return self.clamp_min(a, 0.0)

    def pow(self, a: Any, exponent: float) -> Array:
        halves = 2.0 * abs(exponent)
        if halves != int(halves) or halves > 16:
            raise NotImplementedError(f"power {exponent}")
        power = self.sqrt(a) if halves % 2 else constants(self.program, np.ones(np.shape(a)))
        for _ in range(int(halves) // 2):
            power = self.mul(power, a)
        return self.reciprocal(power) if exponent < 0 else power

    def maximum(self, a: Any, b: Any) -> Array:
        return self._binary(lambda x, y: self.program.write("maximum", x, y), a, b)

    def minimum(self, a: Any, b: Any) -> Array:
        return self._binary(lambda x, y: self.program.write("minimum", x, y), a, b)

    def clamp(self, a: Any, low: Any = None, high: Any = None) -> Array:
        a = a if low is None else self.maximum(a, low)
        return a if high is None else self.minimum(a, high)

    def clamp_min(self, a: Any, low: Any) -> Array:
        return self.maximum(a, low)

    def clamp_max(self, a: Any, high: Any) -> Array:
        return self.minimum(a, high)

    def lerp(self, a: Any, b: Any, weight: Any) -> Array:
        return self.add(a, self.mul(weight, self.sub(b, a)))

    # Sums and products

    def sum(self, a: Array, dim: Any = None, keepdim: bool = False, **_: Any) -> Array:
        return self._fold(self.program.add, self._numbers(a), dim, keepdim)

    def mean(self, a: Array, dim: Any = None, keepdim: bool = False, **_: Any) -> Array:
        total = self.sum(a, dim, keepdim)
        return self.div(total, a.size / max(total.size, 1))

    def amax(self, a: Array, dim: Any = None, keepdim: bool = False) -> Array:
        larger = lambda x, y: self.program.write("maximum", x, y)  # noqa: E731
        return self._fold(larger, self._numbers(a), dim, keepdim)

    def linalg_vector_norm(
        self, a: Array, order: float = 2.0, dim: Any = None, keepdim: bool = False, **_: Any
    ) -> Array:
        if order != 2.0:
            raise NotImplementedError(f"norm of order {order}")
        return self.sqrt(self.sum(self.mul(a, a), dim, keepdim))

    def addmm(self, bias: Array, a: Array, b: Array) -> Array:
        return self.add(bias, self.mm(a, b))

    def mm(self, a: Array, b: Array) -> Array:
        """Large products of a vector with parameters, or of two vectors, can stay loops."""
        if a.size * b.shape[1] >= LARGE_PRODUCT:
            if a.shape[1] == 1:
                return self._binary(lambda x, y: self.program.write("outer", x, y), a, b)
            if (layout := self._parameters(b.T)) is not None:
                return np.array([self.program.product(*layout, row.tolist()) for row in a])
            if (layout := self._parameters(a)) is not None:
                columns = [self.program.product(*layout, column.tolist()) for column in b.T]
                return np.array(columns).T
        return self.sum(self.mul(a[:, :, None], b[None, :, :]), 1)

    def _parameters(self, matrix: Array) -> tuple[int, int, tuple[int, int], int] | None:
        """Parameter, start, strides and height if all entries lie evenly in one parameter."""
        entries = [self.program.instructions[value] for value in matrix.ravel().tolist()]
        if {entry[0] for entry in entries} != {"parameter"} or len({e[1] for e in entries}) > 1:
            return None
        flat = np.array([entry[2] for entry in entries]).reshape(matrix.shape)
        height, width = len(matrix), len(matrix.T)
        down = int(flat[1, 0] - flat[0, 0]) if height > 1 else 0
        right = int(flat[0, 1] - flat[0, 0]) if width > 1 else 0
        rows, columns = np.indices(matrix.shape)
        if not np.array_equal(flat, flat[0, 0] + down * rows + right * columns):
            return None
        return entries[0][1], int(flat[0, 0]), (down, right), height

    # Comparison

    def lt(self, a: Any, b: Any) -> Array:
        return self._binary(lambda x, y: self.program.write("less", x, y), a, b)

    def le(self, a: Any, b: Any) -> Array:
        return self._binary(lambda x, y: self.program.write("less_equal", x, y), a, b)

    def gt(self, a: Any, b: Any) -> Array:
        return self.lt(b, a)

    def ge(self, a: Any, b: Any) -> Array:
        return self.le(b, a)

    def eq(self, a: Any, b: Any) -> Array:
        return self._binary(lambda x, y: self.program.write("equal", x, y), a, b)

    def ne(self, a: Any, b: Any) -> Array:
        return self.logical_not(self.eq(a, b))

    def _logical(self, name: str, *arrays: Array) -> Array:
        masks = [elementwise(self.program.mask, a) for a in arrays]
        return elementwise(lambda *values: self.program.write(name, *values), *masks)

    def logical_and(self, a: Array, b: Array) -> Array:
        return self._logical("and", a, b)

    def logical_or(self, a: Array, b: Array) -> Array:
        return self._logical("or", a, b)

    def logical_not(self, a: Array) -> Array:
        return self._logical("not", a)

    bitwise_and, bitwise_or, bitwise_not = logical_and, logical_or, logical_not

    def where(self, mask: Array, a: Any, b: Any) -> Array:
        masks = elementwise(self.program.mask, self._array(mask))
        return elementwise(self.program.select, masks, self._numbers(a), self._numbers(b))

    def masked_fill(self, a: Array, mask: Array, number: Any) -> Array:
        return self.where(mask, number, a)

    def _to_copy(self, a: Array, **_: Any) -> Array:
        return self._numbers(a)

    # Gradients

    def threshold_backward(self, gradient: Array, a: Array, threshold: float) -> Array:
        return self.where(self.le(a, threshold), 0.0, gradient)

    def tanh_backward(self, gradient: Array, tanh: Array) -> Array:
        return self.mul(gradient, self.sub(1.0, self.mul(tanh, tanh)))

    def sigmoid_backward(self, gradient: Array, sigmoid: Array) -> Array:
        return self.mul(gradient, self.mul(sigmoid, self.sub(1.0, sigmoid)))

    def softplus_backward(self, gradient: Array, a: Array, beta: float, threshold: float) -> Array:
        scaled = self.mul(a, beta)
        bent = self.mul(gradient, self.sigmoid(scaled))
        return self.where(self.le(scaled, threshold), bent, gradient)

    def slice_backward(
        self, gradient: Array, sizes: Sequence[int], dim: int, start: int, end: int, step: int
    ) -> Array:
        whole = self.new_zeros(gradient, sizes)
        self.slice(whole, dim, start, end, step)[...] = gradient
        return whole

    def select_backward(self, gradient: Array, sizes: Sequence[int], dim: int, index: int) -> Array:
        whole = self.new_zeros(gradient, sizes)
        self.select(whole, dim, index)[...] = gradient
        return whole

    # Shape

    def view(self, a: Array, sizes: Sequence[int]) -> Array:
        return a.reshape(tuple(sizes))

    def permute(self, a: Array, dims: Sequence[int]) -> Array:
        return a.transpose(tuple(dims))

    def transpose(self, a: Array, first: int, second: int) -> Array:
        return a.swapaxes(first, second)

    def t(self, a: Array) -> Array:
        return a.T

    def unsqueeze(self, a: Array, dim: int) -> Array:
        return np.expand_dims(a, dim)

    def squeeze(self, a: Array, dim: int) -> Array:
        return np.squeeze(a, dim) if a.shape[dim] == 1 else a

    def expand(self, a: Array, sizes: Sequence[int]) -> Array:
        missing = len(sizes) - a.ndim
        own = (1,) * missing + a.shape
        shape = [have if want == -1 else want for have, want in zip(own, sizes, strict=True)]
        return np.broadcast_to(a, shape)

    def repeat(self, a: Array, times: Sequence[int]) -> Array:
        return np.tile(a, tuple(times))

    def cat(self, arrays: Sequence[Array], dim: int = 0) -> Array:
        kept = [a for a in arrays if a.shape != (0,)]  # torch lets an empty vector join anything
        return np.concatenate([self._numbers(a) for a in kept], axis=dim)

    def stack(self, arrays: Sequence[Array], dim: int = 0) -> Array:
        return np.stack([self._numbers(a) for a in arrays], axis=dim)

    def constant_pad_nd(self, a: Array, pad: Sequence[int], number: float = 0.0) -> Array:
        pairs = list(zip(pad[::2], pad[1::2], strict=True))[::-1]  # torch begins at the last axis
        widths = [(0, 0)] * (a.ndim - len(pairs)) + pairs
        return np.pad(a, widths, constant_values=self.program.constant(number))

    def unbind(self, a: Array, dim: int = 0) -> list[Array]:
        return list(np.moveaxis(a, dim, 0))

    def split_with_sizes(self, a: Array, sizes: Sequence[int], dim: int = 0) -> list[Array]:
        return np.split(a, np.cumsum(sizes)[:-1], axis=dim)

    def split(self, a: Array, size: int, dim: int = 0) -> list[Array]:
        return np.split(a, range(size, a.shape[dim], size), axis=dim)

    def slice(
        self, a: Array, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
    ) -> Array:
        return a[(slice(None),) * (dim % a.ndim) + (slice(start, end, step),)]

    def select(self, a: Array, dim: int, index: int) -> Array:
        return a[(slice(None),) * (dim % a.ndim) + (index,)]

    def clone(self, a: Array, **_: Any) -> Array:
        return a.copy()

    def detach(self, a: Array) -> Array:
        return a

    lift_fresh_copy = clone

    # New arrays

    def new_zeros(self, a: Array, sizes: Sequence[int], **_: Any) -> Array:
        return constants(self.program, np.zeros(tuple(sizes)))

    def zeros_like(self, a: Array, **_: Any) -> Array:
        return self.full_like(a, 0.0)

    empty_like = zeros_like

    def ones_like(self, a: Array, **_: Any) -> Array:
        return self.full_like(a, 1.0)

    def full_like(self, a: Array, number: float, **_: Any) -> Array:
        return constants(self.program, np.full(a.shape, float(number)))

    # In place

    def fill_(self, a: Array, number: float) -> Array:
        a[...] = self.program.constant(number)
        return a

    def sub_(self, a: Array, b: Any) -> Array:
        a[...] = self.sub(a, b)
        return a

    def logical_and_(self, a: Array, b: Array) -> Array:
        a[...] = self.logical_and(a, b)
        return a

    def masked_fill_(self, a: Array, mask: Array, number: Any) -> Array:
        a[...] = self.masked_fill(a, mask, number)
        return a
