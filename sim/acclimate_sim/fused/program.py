"""A program of scalars in static single assignment, simplified while it is written."""

from collections.abc import Sequence
from dataclasses import dataclass, field

Value = int
"""Index of an instruction; instructions only refer to earlier ones."""

LEAVES = ("world", "carry", "moment", "of_carry", "of_output")
"""Inputs of one robot at one step, by row; see `scalarize`."""
MASKS = ("less", "less_equal", "equal", "and", "or", "not")
"""Instructions whose result is true or false, robot by robot."""


@dataclass(frozen=True, kw_only=True)
class Product:
    """A matrix of parameters times a vector: output h is the sum over k of x[k] w[h, k].

    Attributes:
        parameter: Which one holds the matrix.
        start: Flat index of w[0, 0].
        row_stride: From w[h, k] to w[h + 1, k].
        column_stride: From w[h, k] to w[h, k + 1].
        height: Number of outputs.
        x: What is multiplied.
    """

    parameter: int
    start: int
    row_stride: int
    column_stride: int
    height: int
    x: tuple[Value, ...]


@dataclass
class Program:
    """Instructions `(name, *operands)`; equal ones are written once.

    Leaves are `("world", row)` and so on, `("parameter", which, flat index)` and
    `("constant", number)`; `("product", which, h)` is one output of a `Product`; operands of all
    others are values. `outer` multiplies like `multiply`, as one entry of an outer product.
    Multiplication by a constant zero gives zero, also where the other factor is not finite: such
    zeros are gradients that do not exist.
    """

    instructions: list[tuple] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    _known: dict[tuple, Value] = field(default_factory=dict)

    def write(self, name: str, *operands: int | float) -> Value:
        """Append an instruction unless it stands already."""
        key = (name, *operands)
        if key not in self._known:
            self._known[key] = len(self.instructions)
            self.instructions.append(key)
        return self._known[key]

    def constant(self, number: float) -> Value:
        """A fixed number."""
        return self.write("constant", float(number))

    def number(self, value: Value) -> float | None:
        """The number of a constant; none for anything else."""
        name, *operands = self.instructions[value]
        return operands[0] if name == "constant" else None

    def is_mask(self, value: Value) -> bool:
        """Whether the value is true or false, robot by robot."""
        return self.instructions[value][0] in MASKS

    def add(self, a: Value, b: Value) -> Value:
        """a + b."""
        x, y = self.number(a), self.number(b)
        if x is not None and y is not None:
            return self.constant(x + y)
        if x == 0.0:
            return b
        if y == 0.0:
            return a
        if (minus := self._negated(b)) is not None:
            return self.subtract(a, minus)
        if (minus := self._negated(a)) is not None:
            return self.subtract(b, minus)
        return self.write("add", min(a, b), max(a, b))

    def subtract(self, a: Value, b: Value) -> Value:
        """a - b."""
        x, y = self.number(a), self.number(b)
        if x is not None and y is not None:
            return self.constant(x - y)
        if x == 0.0:
            return self.negate(b)
        if y == 0.0:
            return a
        if (minus := self._negated(b)) is not None:
            return self.add(a, minus)
        return self.write("subtract", a, b)

    def multiply(self, a: Value, b: Value) -> Value:
        """a b."""
        x, y = self.number(a), self.number(b)
        if x is not None and y is not None:
            return self.constant(x * y)
        if x is not None:
            a, b, x, y = b, a, y, x
        if y == 0.0:
            return b
        if y == 1.0:
            return a
        if y == -1.0:
            return self.negate(a)
        minus_a, minus_b = self._negated(a), self._negated(b)
        if minus_a is not None and minus_b is not None:
            return self.multiply(minus_a, minus_b)
        if minus_a is not None:
            return self.negate(self.multiply(minus_a, b))
        if minus_b is not None:
            return self.negate(self.multiply(a, minus_b))
        return self.write("multiply", min(a, b), max(a, b))

    def divide(self, a: Value, b: Value) -> Value:
        """a / b; by a constant: times its inverse."""
        y = self.number(b)
        if y is not None and y != 0.0:
            return self.multiply(a, self.constant(1.0 / y))
        return a if self.number(a) == 0.0 else self.write("divide", a, b)

    def negate(self, a: Value) -> Value:
        """-a."""
        x = self.number(a)
        if x is not None:
            return self.constant(-x)
        minus = self._negated(a)
        return self.write("negate", a) if minus is None else minus

    def select(self, mask: Value, a: Value, b: Value) -> Value:
        """`a` where the mask is true, else `b`."""
        x = self.number(mask)
        if x is not None:
            return a if x else b
        return a if a == b else self.write("select", mask, a, b)

    def mask(self, a: Value) -> Value:
        """The value as a mask: true where it is not zero."""
        if self.is_mask(a) or self.number(a) is not None:
            return a
        return self.write("not", self.write("equal", a, self.constant(0.0)))

    def numeric(self, a: Value) -> Value:
        """The value as a number: masks become 1 and 0."""
        one, zero = self.constant(1.0), self.constant(0.0)
        return self.select(a, one, zero) if self.is_mask(a) else a

    def product(
        self, parameter: int, start: int, strides: tuple[int, int], height: int, x: Sequence[Value]
    ) -> list[Value]:
        """Outputs of a `Product`."""
        product = Product(
            parameter=parameter,
            start=start,
            row_stride=strides[0],
            column_stride=strides[1],
            height=height,
            x=tuple(x),
        )
        if product not in self.products:
            self.products.append(product)
        which = self.products.index(product)
        return [self.write("product", which, h) for h in range(height)]

    def operands(self, value: Value) -> tuple[Value, ...]:
        """The values that an instruction reads."""
        name, *operands = self.instructions[value]
        if name in (*LEAVES, "parameter", "constant"):
            return ()
        return self.products[operands[0]].x if name == "product" else tuple(operands)

    def needed(self, results: Sequence[Value]) -> list[Value]:
        """All values that lead to the results, in order."""
        seen: set[Value] = set()
        open_ = list(results)
        while open_:
            value = open_.pop()
            if value not in seen:
                seen.add(value)
                open_.extend(self.operands(value))
        return sorted(seen)

    def _negated(self, a: Value) -> Value | None:
        name, *operands = self.instructions[a]
        return operands[0] if name == "negate" else None
