"""From a traced function of one robot to a program of scalars."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_leaves

from acclimate_sim.fused.operators import Array, Operators, constants
from acclimate_sim.fused.program import Program, Value

FEW = 16
"""Numbers up to which a tensor of the trace is written into the program; larger ones are read."""


class UnsupportedStepError(Exception):
    """The step holds an operator that has no scalar form; it can be compiled in other ways."""


@dataclass(frozen=True, kw_only=True)
class Scalars:
    """A program and what it computes.

    Attributes:
        program: The instructions.
        results: Values in the order of the function's flattened results.
        frozen: Tensors that the function reads besides its arguments; parameters of the program
            that follow those of the function, read anew at each call.
    """

    program: Program
    results: list[list[Value]]
    frozen: list[Tensor]


def scalarize(
    function: Callable[..., Any], parameters: Sequence[Tensor], rows: dict[str, Tensor]
) -> Scalars:
    """Trace a function of parameters and of rows (rows, 1) of one robot.

    Args:
        function: Called with the parameters as a sequence and then with each of the rows.
        parameters: Examples; shared by all robots.
        rows: Leaf of the program -> example. No two examples may be the same tensor.

    Raises:
        UnsupportedStepError: An operator is unknown.
    """
    graph = make_fx(lambda *given: function(*given))(list(parameters), *rows.values())
    graph.graph.eliminate_dead_code()
    program = Program()
    inputs = [_leaves(program, "parameter", p.shape, i) for i, p in enumerate(parameters)]
    inputs += [_leaves(program, name, example.shape) for name, example in rows.items()]
    return _Interpreter(graph, program, inputs, len(parameters)).run()


def _leaves(program: Program, name: str, shape: torch.Size, *which: int) -> Array:
    flat = [program.write(name, *which, i) for i in range(shape.numel())]
    return np.array(flat, dtype=np.int64).reshape(tuple(shape))


class _Interpreter:
    """Walks a graph once, with arrays of values in place of tensors."""

    def __init__(
        self, graph: GraphModule, program: Program, inputs: list[Array], num_parameters: int
    ) -> None:
        self._graph, self._program, self._inputs = graph, program, inputs
        self._num_parameters = num_parameters
        self._operators = Operators(program)
        self._values: dict[Node, Any] = {}
        self._frozen: list[Tensor] = []

    def run(self) -> Scalars:
        inputs = iter(self._inputs)
        results: list[list[Value]] = []
        for node in self._graph.graph.nodes:
            if node.op == "placeholder":
                self._values[node] = next(inputs)
            elif node.op == "get_attr":
                self._values[node] = self._attribute(getattr(self._graph, str(node.target)))
            elif node.op == "call_function":
                self._values[node] = self._call(node)
            elif node.op == "output":
                flat = tree_leaves(node.args[0])
                numbers = (self._operators._numbers(self._values[n]) for n in flat)
                results = [array.ravel().tolist() for array in numbers]
        return Scalars(program=self._program, results=results, frozen=self._frozen)

    def _attribute(self, tensor: Tensor) -> Array:
        if tensor.numel() <= FEW:
            return constants(self._program, tensor.detach().cpu().numpy())
        which = self._num_parameters + len(self._frozen)
        self._frozen.append(tensor)
        return _leaves(self._program, "parameter", tensor.shape, which)

    def _call(self, node: Node) -> Any:
        target: Any = node.target
        known: Any = self._values.__getitem__
        args: Any = torch.fx.map_arg(node.args, known)
        kwargs: Any = torch.fx.map_arg(node.kwargs, known)
        if target is operator.getitem:
            return args[0][args[1]]
        if not any(isinstance(leaf, np.ndarray) for leaf in tree_leaves((args, kwargs))):
            return constants(self._program, target(*args, **kwargs).cpu().numpy())
        name = target._schema.name.removeprefix("aten::")
        method = getattr(self._operators, name, None)
        if method is None:
            raise UnsupportedStepError(f"operator {name}")
        try:
            return method(*args, **kwargs)
        except NotImplementedError as error:
            raise UnsupportedStepError(f"operator {name}: {error}") from error
