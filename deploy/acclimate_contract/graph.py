"""The check that a graph is the one its manifest describes, whatever library read the graph."""

from collections.abc import Mapping, Sequence

from acclimate_contract.errors import ContractError
from acclimate_contract.manifest import Manifest

ACTION_OUTPUT = "action"

Shapes = Mapping[str, Sequence[int | str | None]]


def check_graph(manifest: Manifest, inputs: Shapes, outputs: Shapes) -> None:
    """Refuse a graph whose tensors differ from the manifest.

    Args:
        manifest: What the file says about itself.
        inputs: Graph input name -> shape, leading batch axis included.
        outputs: Graph output name -> shape, leading batch axis included.

    Raises:
        ContractError: A name or a shape differs, or the batch axis is fixed.
    """
    expected_inputs = {signal.name: signal.shape for signal in manifest.signals}
    expected_outputs: dict[str, tuple[int, ...]] = {ACTION_OUTPUT: (len(manifest.action.channels),)}
    for memory in manifest.memory:
        expected_inputs[memory.input] = memory.shape
        expected_outputs[memory.output] = memory.shape
    _check_tensors("input", expected_inputs, inputs)
    _check_tensors("output", expected_outputs, outputs)


def _check_tensors(kind: str, expected: Mapping[str, tuple[int, ...]], found: Shapes) -> None:
    if set(expected) != set(found):
        raise ContractError(
            f"the graph has {kind}s {sorted(found)} and its manifest describes "
            f"{sorted(expected)}. The file was changed after its export. "
            "Fix: export the policy again."
        )
    for name, shape in expected.items():
        if not found[name] or isinstance(found[name][0], int):
            raise ContractError(
                f"graph {kind} {name!r} has shape {tuple(found[name])}, without a free batch axis "
                "in front. Evaluation could not fly many robots at once. "
                "Fix: export the policy with a dynamic first axis."
            )
        if tuple(found[name][1:]) != shape:
            raise ContractError(
                f"graph {kind} {name!r} has shape {tuple(found[name][1:])} and its manifest says "
                f"{shape} (both without the batch axis). Fix: export the policy again."
            )
