"""The policy network: senses, clipping, memory, and the same answers at every control rate."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate_contract import QUADROTOR, ConfigError
from acclimate_training.policies import CELLS, GRU, MultirotorPolicy
from acclimate_training.policies.cells import FrameStack
from acclimate_training.policies.folded import FoldedPolicy
from acclimate_training.policies.multirotor import features, integrate, num_features
from acclimate_training.policy_config import PolicyCfg
from acclimate_training.problems.multirotor_tracking import PERIOD_S

VARIANTS = {
    "default": PolicyCfg(),
    "time aware": PolicyCfg(time_aware=True),
    "preview": PolicyCfg(preview=True),
    "blind to its action": PolicyCfg(previous_action=False),
    "no integral": PolicyCfg(integrate=False),
    "memoryless": PolicyCfg(cell="none"),
    "stack": PolicyCfg(cell="stack"),
    "oracle": PolicyCfg(privileged=5),
    "everything": PolicyCfg(time_aware=True, preview=True, privileged=5, width=9, memory_width=7),
    "nothing": PolicyCfg(cell="none", integrate=False, previous_action=False),
}
FEW = settings(max_examples=30, deadline=None)  # busy machines stall for longer than a deadline


def signals(num_envs: int, cfg: PolicyCfg = VARIANTS["default"]) -> dict[str, torch.Tensor]:
    """What the policy of `cfg` reads and nothing else."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(num_envs, *shape, generator=generator)

    every = {
        "position_error": normal(3),
        "orientation": torch.nn.functional.normalize(normal(4), dim=-1),
        "linear_velocity_error": normal(3),
        "angular_velocity": normal(3),
        "previous_action": normal(4).clamp(-1, 1),
        "time_step": PERIOD_S * (1.0 + 0.3 * normal(1)).clamp(0.5, 2.0),
        "reference_preview": normal(4, 3),
    }
    read = {name: every[name] for name in cfg.signals}
    return {**read, "privileged": normal(cfg.privileged)} if cfg.privileged else read


def policy_of(cfg: PolicyCfg) -> MultirotorPolicy:
    torch.manual_seed(0)
    return MultirotorPolicy(cfg)


def test_default_policy_is_no_larger_than_raptor(policy: MultirotorPolicy) -> None:
    assert policy.num_parameters <= 2084


def test_features_are_clipped_and_scaled() -> None:
    """Two axes of a body that pitches its nose straight down: x looks down, z forward."""
    far = signals(1)
    far["position_error"] = torch.tensor([[100.0, -100.0, 1.0]])
    far["orientation"] = torch.tensor([[0.5**0.5, 0.0, 0.5**0.5, 0.0]])
    far["linear_velocity_error"] = torch.tensor([[0.5, 50.0, -50.0]])
    far["angular_velocity"] = torch.tensor([[10.0, 0.0, -10.0]])
    integral = torch.tensor([[0.1, 0.2, 0.3]])
    seen = features(PolicyCfg(), far, integral, None)
    assert seen.shape == (1, num_features(PolicyCfg()))
    expected = (
        *(2.0, -2.0, 1.0),
        *(0.0, 0.0, -1.0),
        *(1.0, 0.0, 0.0),
        *(0.5, 4.0, -4.0),
        *(1.0, 0.0, -1.0),
        *(0.1, 0.2, 0.3),
        *far["previous_action"][0].tolist(),
    )
    assert seen[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_what_only_some_read_comes_last_and_scaled() -> None:
    cfg = VARIANTS["everything"]
    seen = signals(2, cfg)
    periods = seen["time_step"] / PERIOD_S
    last = features(cfg, seen, torch.zeros(2, 3), periods)[:, 18:]
    expected = (
        seen["previous_action"],
        periods - 1.0,
        2.0 * seen["reference_preview"].reshape(2, 12),
        seen["privileged"],
    )
    torch.testing.assert_close(last, torch.cat(expected, dim=-1))


def test_a_quaternion_and_its_negative_are_the_same_attitude(policy: MultirotorPolicy) -> None:
    one, other = signals(5), signals(5)
    other["orientation"] = -other["orientation"]
    memory = policy.initial_memory(5)
    torch.testing.assert_close(policy(one, memory)[0], policy(other, memory)[0])


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_policy_reads_exactly_what_it_names(variant: str) -> None:
    """Each signal in `signals` is needed and heard; and all are the contract's."""
    cfg = VARIANTS[variant]
    policy, seen = policy_of(cfg), signals(3, cfg)
    memory = 0.3 * torch.randn(3, policy.memory_width, generator=torch.Generator().manual_seed(1))
    answer, _ = policy(seen, memory)
    assert set(cfg.signals) <= {signal.name for signal in QUADROTOR.signals}
    for name in seen:
        with pytest.raises(KeyError, match=name):
            policy({n: value for n, value in seen.items() if n != name}, memory)
        louder = {**seen, name: 1.1 * seen[name] + 0.1}
        assert (policy(louder, memory)[0] - answer).abs().max() > 1e-6, name


@pytest.mark.parametrize("variant", VARIANTS)
def test_folded_policy_computes_the_same(variant: str) -> None:
    """Twenty steps: an error in the memory would add up."""
    cfg = VARIANTS[variant]
    policy, seen = policy_of(cfg), signals(9, cfg)
    folded = FoldedPolicy(policy)
    memory = ours = policy.initial_memory(9)
    for _ in range(20):
        answer, memory = policy(seen, memory)
        folded_answer, ours = folded(seen, ours)
        torch.testing.assert_close(folded_answer, answer, atol=5e-6, rtol=0)
        torch.testing.assert_close(ours, memory, atol=5e-6, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_memory_is_that_of_the_cell_and_the_integral_behind_it(variant: str) -> None:
    cfg = VARIANTS[variant]
    policy = policy_of(cfg)
    assert policy.memory_width == policy.cell.memory_width + 3 * cfg.integrate
    _, memory = policy(signals(4, cfg), policy.initial_memory(4))
    assert memory.shape == (4, policy.memory_width)
    if cfg.integrate:
        periods = signals(4, cfg)["time_step"] / PERIOD_S if cfg.time_aware else None
        expected = integrate(torch.zeros(4, 3), signals(4, cfg)["position_error"], periods)
        torch.testing.assert_close(memory[:, -3:], expected)


def test_memory_changes_the_answer(policy: MultirotorPolicy) -> None:
    seen, memory = signals(3), policy.initial_memory(3)
    first, memory = policy(seen, memory)
    second, _ = policy(seen, memory)
    assert (first - second).abs().max() > 1e-4
    assert first.abs().max() <= 1.0


def test_a_memoryless_policy_answers_the_same_again() -> None:
    cfg = VARIANTS["nothing"]
    policy, seen = policy_of(cfg), signals(3, cfg)
    first, memory = policy(seen, policy.initial_memory(3))
    assert memory.shape == (3, 0)
    assert torch.equal(policy(seen, memory)[0], first)


# Integral


@FEW
@given(errors=st.lists(st.floats(-5.0, 5.0), min_size=1, max_size=8), periods=st.floats(0.1, 2.0))
def test_the_integral_is_the_clipped_sum_of_errors_that_count_less_from_afar(
    errors: list[float], periods: float
) -> None:
    """Twelve times the error in m times the time in s, halved at 5 cm; the sum up to 1."""
    got, expected = torch.zeros(1, 1, dtype=torch.float64), 0.0
    step = torch.tensor([[periods]], dtype=torch.float64)
    for error in errors * 50:
        got = integrate(got, torch.tensor([[error]], dtype=torch.float64), step)
        counted = error / (1.0 + (error / 0.05) ** 2)
        expected = min(max(expected + 12.0 * PERIOD_S * periods * counted, -1.0), 1.0)
    assert got.item() == pytest.approx(expected, abs=1e-12)


def test_the_integral_winds_up_to_one_and_no_further() -> None:
    near = torch.full((1, 3), 0.03)
    integral = torch.zeros(1, 3)
    for _ in range(1000):
        integral = integrate(integral, near, None)
    assert integral.tolist() == [[1.0, 1.0, 1.0]]
    assert integrate(integral, -near, None).max() < 1.0  # and leaves at once


def test_a_far_reference_hardly_winds_the_integral_up() -> None:
    """One second at 2 m counts less than a twentieth of a second at 5 cm."""
    far, near = torch.zeros(1, 3), torch.zeros(1, 3)
    for _ in range(100):
        far = integrate(far, torch.tensor([[2.0, 0.0, 0.0]]), None)
    for _ in range(5):
        near = integrate(near, torch.tensor([[0.05, 0.0, 0.0]]), None)
    assert 0.0 < far[0, 0] < near[0, 0]


# Cells


def test_gru_equals_torch_gru_cell() -> None:
    ours, theirs = GRU(5, 7), torch.nn.GRUCell(5, 7)
    theirs.weight_ih.data, theirs.bias_ih.data = ours.input.weight.data, ours.input.bias.data
    theirs.weight_hh.data = ours.recurrent.weight.data
    theirs.bias_hh.data = ours.recurrent.bias.data
    x, memory = torch.randn(4, 5), torch.randn(4, 7)
    output, following = ours(x, memory)
    torch.testing.assert_close(output, theirs(x, memory))
    assert torch.equal(output, following)


@pytest.mark.parametrize("name", CELLS)
def test_a_step_of_one_period_is_a_plain_step(name: str) -> None:
    cell = CELLS[name](5, 7)
    x, memory = torch.randn(4, 5), torch.randn(4, cell.memory_width)
    for timed, plain in zip(cell(x, memory, torch.ones(4, 1)), cell(x, memory), strict=True):
        torch.testing.assert_close(timed, plain, atol=1e-6, rtol=0)


@FEW
@given(share=st.floats(0.05, 0.95), periods=st.floats(0.2, 3.0), seed=st.integers(0, 1000))
def test_without_feedback_parts_of_a_gru_step_make_the_whole(
    share: float, periods: float, seed: int
) -> None:
    """Gates and news that depend on the input alone: memory decays exactly, whatever the steps."""
    torch.manual_seed(seed)
    cell = GRU(5, 7).double()
    cell.recurrent.weight.data.zero_()
    x, start = torch.randn(4, 5).double(), torch.randn(4, 7).double()
    whole, _ = cell(x, start, torch.full((4, 1), periods).double())
    part, memory = cell(x, start, torch.full((4, 1), share * periods).double())
    both, _ = cell(x, memory, torch.full((4, 1), (1.0 - share) * periods).double())
    torch.testing.assert_close(both, whole, atol=1e-6, rtol=0)  # periods are float32
    assert (part - whole).abs().max() > 1e-3


def test_two_half_steps_of_a_gru_are_about_one() -> None:
    """With feedback the gates move between the halves; that is far less than a step moves."""
    torch.manual_seed(0)
    cell = GRU(16, 16).double()
    x, start = torch.randn(64, 16).double(), 0.5 * torch.randn(64, 16).double()
    one, half = torch.ones(64, 1).double(), torch.full((64, 1), 0.5).double()
    whole, _ = cell(x, start, one)
    _, memory = cell(x, start, half)
    halves, _ = cell(x, memory, half)
    moved = (whole - start).norm(dim=1)
    assert ((halves - whole).norm(dim=1) < 0.1 * moved).all()
    assert ((cell(x, start, half)[0] - whole).norm(dim=1) > 0.2 * moved).all()


def test_frames_are_stacked_newest_first_and_forgotten_after_sixteen() -> None:
    cell = FrameStack(2, 3)
    memory = torch.zeros(1, cell.memory_width)
    for step in range(1, 21):
        _, memory = cell(torch.full((1, 2), float(step)), memory)
    assert memory.view(15, 2)[:, 0].tolist() == [float(step) for step in range(20, 5, -1)]
    # The oldest frame still counts for the answer: it is the last in the dense layer.
    cell.dense.weight.data.zero_()
    cell.dense.weight.data[:, -1], cell.dense.bias.data = 1.0, torch.zeros(3)
    output, memory = cell(torch.zeros(1, 2), memory)
    assert output.tolist() == [[6.0, 6.0, 6.0]]
    output, _ = cell(torch.zeros(1, 2), memory)
    assert output.tolist() == [[7.0, 7.0, 7.0]]


@pytest.mark.parametrize("name", ["width", "memory_width"])
def test_a_policy_without_any_width_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} is 0. Fix:"):
        replace(PolicyCfg(), **{name: 0})
