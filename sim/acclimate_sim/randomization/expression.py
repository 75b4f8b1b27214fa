"""Arithmetic on named numbers, from a text that anyone may have written.

The text is parsed into Python's syntax tree and only the few nodes below are ever computed: it
cannot call, import, index or reach anything.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from acclimate_contract import ConfigError

MAX_LENGTH, MAX_POWER, LARGEST = 300, 16, 1e300
FUNCTIONS: dict[str, tuple[int, Callable[..., Tensor]]] = {
    "sqrt": (1, torch.sqrt),
    "exp": (1, torch.exp),
    "log": (1, torch.log),
    "minimum": (2, torch.minimum),
    "maximum": (2, torch.maximum),
}
"""Name -> number of arguments, function."""
OPERATORS: dict[type[ast.operator], Callable[[Tensor, Tensor], Tensor]] = {
    ast.Add: torch.add,
    ast.Sub: torch.sub,
    ast.Mult: torch.mul,
    ast.Div: torch.div,
}


@dataclass(frozen=True)
class Expression:
    """Numbers, names, + - * / **, parentheses, and the functions of `FUNCTIONS`.

    Raises:
        ConfigError: The text is anything else.
    """

    text: str

    def __post_init__(self) -> None:
        for node in ast.walk(self._tree):
            _check(node, self.text)

    @cached_property
    def _tree(self) -> ast.expr:
        if len(self.text) > MAX_LENGTH:
            raise ConfigError(
                f"an expression of {len(self.text)} characters is more than a person reads. Fix: "
                f"split it into derived parameters of up to {MAX_LENGTH} characters."
            )
        try:
            return ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise _refused(self.text, f"cannot be read ({error})") from error

    @cached_property
    def names(self) -> frozenset[str]:
        """The numbers it needs."""
        called = {id(n.func) for n in ast.walk(self._tree) if isinstance(n, ast.Call)}
        nodes = (n for n in ast.walk(self._tree) if isinstance(n, ast.Name))
        return frozenset(node.id for node in nodes if id(node) not in called)

    def evaluate(self, numbers: Mapping[str, Tensor]) -> Tensor:
        """Compute, elementwise; `numbers` has all `names`, in float64."""
        return _evaluate(self._tree, numbers)


def _check(node: ast.AST, text: str) -> None:
    match node:
        case ast.Constant(value=bool()):  # a kind of integer
            known = False
        case ast.Constant(value=int() | float() as value):
            known = abs(value) < LARGEST
        case ast.BinOp(op=op):
            known = type(op) in OPERATORS or isinstance(op, ast.Pow)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            known = name in FUNCTIONS and len(args) == FUNCTIONS[name][0]
        case ast.UnaryOp(op=op):
            known = isinstance(op, ast.USub)
        case _:  # operators were seen with their operation
            known = isinstance(node, ast.Name | ast.Load | ast.operator | ast.unaryop)
    if not known:
        raise _refused(text, f"has {ast.unparse(node)!r} in it")


def _refused(text: str, what: str) -> ConfigError:
    return ConfigError(
        f"expression {text!r} {what}, which is no arithmetic on parameters. Fix: use numbers, "
        f"names of parameters, + - * / **, parentheses and {', '.join(FUNCTIONS)}."
    )


def _evaluate(node: ast.AST, numbers: Mapping[str, Tensor]) -> Tensor:
    match node:
        case ast.Constant(value=int() | float() as value):
            return torch.tensor(float(value), dtype=torch.float64)
        case ast.Name(id=name):
            return numbers[name]
        case ast.UnaryOp(operand=operand):
            return -_evaluate(operand, numbers)
        case ast.Call(func=ast.Name(id=name), args=args):
            return FUNCTIONS[name][1](*(_evaluate(arg, numbers) for arg in args))
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_evaluate(left, numbers), _evaluate(right, numbers))
        case ast.BinOp(left=left, op=op, right=right):
            return OPERATORS[type(op)](_evaluate(left, numbers), _evaluate(right, numbers))
    raise AssertionError(node)  # checked on construction


def _power(base: Tensor, exponent: Tensor) -> Tensor:
    """Products for small whole numbers, else through the logarithm.

    `torch.pow` rounds the last few numbers of a batch differently from the others: a robot would
    depend on the batch it is drawn in.
    """
    whole = exponent.ndim == 0 and float(exponent).is_integer() and abs(exponent) <= MAX_POWER
    if not whole:
        return torch.exp(exponent * torch.log(base))
    product = torch.ones_like(base)
    for _ in range(abs(int(exponent))):
        product = product * base
    return product if exponent >= 0 else 1.0 / product
