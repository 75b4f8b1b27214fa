"""The policy network: size, clipping, memory."""

import torch

from acclimate_training.policies import CELLS, QuadrotorPolicy
from acclimate_training.policies.folded import FoldedPolicy
from acclimate_training.policies.quadrotor import NUM_FEATURES, features


def signals(num_envs: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)

    def normal(width: int) -> torch.Tensor:
        return torch.randn(num_envs, width, generator=generator)

    return {
        "position_error": normal(3),
        "orientation": torch.nn.functional.normalize(normal(4), dim=-1),
        "linear_velocity_error": normal(3),
        "angular_velocity": normal(3),
        "previous_action": normal(4).clamp(-1, 1),
    }


def test_default_policy_is_no_larger_than_raptor(policy: QuadrotorPolicy) -> None:
    assert policy.num_parameters <= 2084


def test_features_are_clipped_and_scaled(policy: QuadrotorPolicy) -> None:
    far = signals(1)
    far["position_error"] = torch.tensor([[100.0, -100.0, 1.0]])
    far["linear_velocity_error"] = torch.tensor([[0.5, 50.0, -50.0]])
    far["angular_velocity"] = torch.tensor([[10.0, 0.0, -10.0]])
    seen = features(far)
    assert seen.shape == (1, NUM_FEATURES)
    torch.testing.assert_close(seen[0, :3], torch.tensor([2.0, -2.0, 1.0]))
    torch.testing.assert_close(seen[0, 12:15], torch.tensor([0.5, 4.0, -4.0]))
    torch.testing.assert_close(seen[0, 15:18], torch.tensor([1.0, 0.0, -1.0]))


def test_a_quaternion_and_its_negative_are_the_same_attitude(policy: QuadrotorPolicy) -> None:
    one, other = signals(5), signals(5)
    other["orientation"] = -other["orientation"]
    memory = policy.initial_memory(5)
    torch.testing.assert_close(policy(one, memory)[0], policy(other, memory)[0])


def test_folded_policy_computes_the_same(policy: QuadrotorPolicy) -> None:
    memory = torch.randn(9, policy.memory_width)
    for ours, theirs in zip(
        FoldedPolicy(policy)(signals(9), memory), policy(signals(9), memory), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=0)


def test_memory_changes_the_answer(policy: QuadrotorPolicy) -> None:
    seen, memory = signals(3), policy.initial_memory(3)
    first, memory = policy(seen, memory)
    second, _ = policy(seen, memory)
    assert (first - second).abs().max() > 1e-4
    assert first.abs().max() <= 1.0


def test_gru_equals_torch_gru_cell() -> None:
    ours, theirs = CELLS["gru"](5, 7), torch.nn.GRUCell(5, 7)
    theirs.weight_ih.data, theirs.bias_ih.data = ours.input.weight.data, ours.input.bias.data
    theirs.weight_hh.data = ours.recurrent.weight.data
    theirs.bias_hh.data = ours.recurrent.bias.data
    x, memory = torch.randn(4, 5), torch.randn(4, 7)
    torch.testing.assert_close(ours(x, memory), theirs(x, memory))
