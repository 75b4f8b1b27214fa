"""C++ expressions and statements for the values of a program."""

from collections.abc import Iterator, Sequence

import numpy as np

from acclimate_sim.fused.program import Program, Value

INFIX = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "outer": "*",
    "divide": "/",
    "less": "<",
    "less_equal": "<=",
    "equal": "==",
    "and": "&",
    "or": "|",
}
PREFIX = {"negate": "-", "not": "~"}
FUNCTIONS = {
    "abs": "absolute",
    "sqrt": "square_root",
    "exp": "exponential",
    "log": "logarithm",
    "tanh": "hyperbolic_tangent",
    "sigmoid": "sigmoid",
    "softplus": "softplus",
    "maximum": "maximum",
    "minimum": "minimum",
    "select": "select",
}


class Printer:
    """Names and statements of a program's values."""

    def __init__(self, program: Program, results: list[Value]) -> None:
        self._program = program
        self._accumulated: set[Value] = set()
        self._results = results
        self._uniform = self._uniform_values()

    def skip(self, values: Sequence[Value]) -> None:
        """Do not compute these outer products: whoever sums them up does."""
        self._accumulated.update(values)

    def operands(self, value: Value) -> tuple[Value, ...]:
        """The values that an instruction reads."""
        return self._program.operands(value)

    def is_outer(self, value: Value) -> bool:
        """Whether a value is one entry of an outer product."""
        return self._program.instructions[value][0] == "outer"

    def name(self, value: Value) -> str:
        """What stands for a value in an expression."""
        kind, *operands = self._program.instructions[value]
        match kind:
            case "constant":
                return f"all({_number(operands[0])})"
            case "parameter":
                return f"all(parameters[{operands[0]}][{operands[1]}])"
            case "world":
                return f"W[{operands[0]}]"
            case "carry":
                return f"C[{operands[0]}]"
            case "of_carry":
                return f"G[{operands[0]}]"
            case "product":
                return f"y{operands[0]}[{operands[1]}]"
        return f"v{value}"

    def hoisted(self) -> str:
        """Statements whose results are the same for all robots at all times."""
        values = self._needed()
        return "\n".join(
            s for v in values if v in self._uniform for s in self._statements(v, set())
        )

    def body(self, ends: Sequence[str]) -> str:
        """Statements of one step, and what is done with their results."""
        printed: set[int] = set()
        lines = [
            line
            for value in self._needed()
            if value not in self._uniform
            for line in self._statements(value, printed)
        ]
        return "\n".join([*lines, *ends])

    def array(self, values: Sequence[Value]) -> str:
        """An initializer."""
        return "{" + ", ".join(map(self.name, values)) + "}"

    def _needed(self) -> list[Value]:
        roots = [v for v in self._results if v not in self._accumulated]
        roots += [operand for v in self._accumulated for operand in self.operands(v)]
        return self._program.needed(roots)

    def _uniform_values(self) -> set[Value]:
        uniform: set[Value] = set()
        for value in self._program.needed(self._results):
            kind = self._program.instructions[value][0]
            operands = self.operands(value)
            if kind in ("parameter", "constant") or (
                operands and kind != "product" and uniform.issuperset(operands)
            ):
                uniform.add(value)
        return uniform

    def _statements(self, value: Value, printed: set[int]) -> Iterator[str]:
        kind, *operands = self._program.instructions[value]
        names = [self.name(operand) for operand in self.operands(value)]
        kind_of_vector = "M" if self._program.is_mask(value) else "V"
        left = f"const {kind_of_vector} v{value} = "
        if kind == "moment":
            yield f"{left}load(m + {operands[0]} * stride);"
        elif kind == "of_output":
            yield f"{left}load(g + {operands[0]} * stride);"
        elif kind == "product" and operands[0] not in printed:
            printed.add(operands[0])
            yield from self._product(operands[0])
        elif kind in INFIX:
            yield f"{left}{names[0]} {INFIX[kind]} {names[1]};"
        elif kind in PREFIX:
            yield f"{left}{PREFIX[kind]}{names[0]};"
        elif kind in FUNCTIONS:
            yield f"{left}{FUNCTIONS[kind]}({', '.join(names)});"

    def _product(self, which: int) -> Iterator[str]:
        product = self._program.products[which]
        size = f"{product.height}, {len(product.x)}, {product.row_stride}, {product.column_stride}"
        yield f"const V x{which}[] = {self.array(product.x)};"
        yield f"V y{which}[{product.height}];"
        matrix = f"parameters[{product.parameter}] + {product.start}"
        yield f"product<{size}>(x{which}, {matrix}, y{which});"


def _number(number: float) -> str:
    if np.isfinite(number):
        return f"{np.float32(number):.9e}f"
    return (
        '__builtin_nanf("")' if np.isnan(number) else f"{'-' if number < 0 else ''}__builtin_inff()"
    )
