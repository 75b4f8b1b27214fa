from typing import Any

import policy_file
import pytest

from acclimate_contract import ContractError, check_graph

INPUTS: dict[str, Any] = {
    "position_error": ["batch", 3],
    "orientation": ["batch", 4],
    "linear_velocity_error": [None, 3],
    "angular_velocity": ["batch", 3],
    "previous_action": ["batch", 4],
    "memory": ["batch", 4],
}
OUTPUTS: dict[str, Any] = {"action": ["batch", 4], "next_memory": ["batch", 4]}


def without(shapes: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in shapes.items() if key != name}


def test_accepts_the_graph_that_the_manifest_describes() -> None:
    check_graph(policy_file.Recurrence().manifest(), INPUTS, OUTPUTS)


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (without(INPUTS, "orientation"), OUTPUTS, "graph has inputs .*changed after its export"),
        (INPUTS | {"wind": ["batch", 3]}, OUTPUTS, "graph has inputs .*'wind'"),
        (INPUTS, without(OUTPUTS, "action"), "graph has outputs"),
        (INPUTS, OUTPUTS | {"value": ["batch", 1]}, "graph has outputs .*'value'"),
        (INPUTS | {"memory": ["batch", 16]}, OUTPUTS, r"'memory' has shape \(16,\).*\(4,\)"),
        (INPUTS, OUTPUTS | {"action": ["batch", 3]}, r"'action' has shape \(3,\).*\(4,\)"),
        (INPUTS | {"orientation": ["batch", "k"]}, OUTPUTS, r"\('k',\).*\(4,\)"),
        (INPUTS | {"orientation": [1, 4]}, OUTPUTS, "without a free batch axis"),
        (INPUTS | {"orientation": []}, OUTPUTS, "without a free batch axis"),
        (INPUTS | {"orientation": ["batch", 4, 1]}, OUTPUTS, r"\(4, 1\)"),
    ],
)
def test_refuses_another_graph(inputs: Any, outputs: Any, message: str) -> None:
    with pytest.raises(ContractError, match=message) as error:
        check_graph(policy_file.Recurrence().manifest(), inputs, outputs)
    assert "Fix:" in str(error.value)
