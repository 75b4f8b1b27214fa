import re
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_file import INITIAL_MEMORY, SIGNALS, Recurrence, build, random_signals

from acclimate_contract import QUADROTOR, RateSpec
from acclimate_contract.errors import ContractError
from acclimate_deploy.policy import Policy, load_policy
from acclimate_deploy.runtime import BatchRunner, PolicyRuntime

PERIOD_S = 0.01


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return load_policy(build(tmp_path_factory.mktemp("policy") / "policy.onnx"))


@pytest.fixture(scope="module")
def timed_policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    path = tmp_path_factory.mktemp("timed") / "policy.onnx"
    return load_policy(build(path, (*SIGNALS, "time_step")))


def steps_of(signals: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    for step in range(len(next(iter(signals.values())))):
        yield {name: values[step] for name, values in signals.items()}


def run_plain(
    policy: Policy, signals: dict[str, np.ndarray], memory: np.ndarray = INITIAL_MEMORY
) -> tuple[np.ndarray, np.ndarray]:
    """One plain `session.run` for one robot: the reference for everything below."""
    feed = {name: np.asarray(v, np.float32)[None] for name, v in signals.items()}
    action, after = policy.session.run(
        ["action", "next_memory"], {**feed, "memory": memory.astype(np.float32)[None]}
    )
    return np.asarray(action)[0], np.asarray(after)[0]


def memory_of(runtime: PolicyRuntime) -> np.ndarray:
    return runtime.memory["memory"]


def test_equals_plain_runs_at_the_nominal_rate(policy: Policy) -> None:
    """Bit for bit: buffers and bindings change nothing."""
    runtime, memory = PolicyRuntime(policy), INITIAL_MEMORY
    for signals in steps_of(random_signals(SIGNALS, 200, seed=3)):
        expected, memory = run_plain(policy, signals, memory)
        np.testing.assert_array_equal(runtime.step(signals, PERIOD_S), expected)
        np.testing.assert_array_equal(memory_of(runtime), memory)


def test_equals_numpy(policy: Policy) -> None:
    recurrence, runtime = Recurrence(), PolicyRuntime(policy)
    memory = INITIAL_MEMORY[None]
    for signals in steps_of(random_signals(SIGNALS, 50, seed=4)):
        batch = {name: value[None] for name, value in signals.items()}
        expected, memory = recurrence.step(batch, memory)
        # float32 sums in another order; tanh keeps the recurrence from amplifying it
        np.testing.assert_allclose(runtime.step(signals, PERIOD_S), expected[0], atol=2e-6)


def advances(policy: Policy, dts: Sequence[float]) -> list[bool]:
    """Whether each call changed the memory."""
    runtime, changed = PolicyRuntime(policy), []
    for signals, dt_s in zip(steps_of(random_signals(SIGNALS, len(dts), seed=5)), dts, strict=True):
        before = memory_of(runtime)
        runtime.step(signals, dt_s)
        changed.append(not np.array_equal(before, memory_of(runtime)))
    return changed


@pytest.mark.parametrize(("rate_hz", "every"), [(100, 1), (200, 2), (400, 4), (500, 5), (1000, 10)])
def test_advances_at_its_own_rate(policy: Policy, rate_hz: int, every: int) -> None:
    changed = advances(policy, [1.0 / rate_hz] * 400)
    assert changed == [i % every == 0 for i in range(400)]


@pytest.mark.parametrize("rate_hz", [110, 150, 160, 250, 333, 730])
def test_other_rates_advance_at_the_nominal_rate_on_average(policy: Policy, rate_hz: int) -> None:
    """Two seconds hold 200 periods, whatever the rate of the sensor; the ends may cost one."""
    changed = advances(policy, [1.0 / rate_hz] * (2 * rate_hz))
    assert sum(changed) == pytest.approx(200, abs=1)


def test_slower_signals_advance_at_every_call(policy: Policy) -> None:
    assert all(advances(policy, [1.0 / 60] * 100))


def test_jitter_does_not_lose_periods(policy: Policy) -> None:
    """A 200 Hz sensor that is 20 % off at every call still makes 100 advances a second."""
    jitter = np.random.default_rng(6).uniform(0.8, 1.2, 2000)
    jitter /= jitter.mean()
    changed = advances(policy, (0.005 * jitter).tolist())
    assert sum(changed) == pytest.approx(1000, abs=1)
    gaps = np.diff(np.flatnonzero(changed))
    assert set(gaps) <= {1, 2, 3}


def test_a_stall_is_not_followed_by_a_burst(policy: Policy) -> None:
    changed = advances(policy, [0.005] * 5 + [1.0] + [0.005] * 40)
    assert changed[5]
    assert sum(changed[6:]) <= 21


@given(st.lists(st.floats(0.0, 0.05), min_size=1, max_size=60))
@settings(max_examples=50, deadline=None)
def test_never_advances_faster_than_time_passes(policy: Policy, dts: list[float]) -> None:
    changed = advances(policy, dts)
    assert changed[0]
    assert sum(changed[1:]) <= sum(dts[1:]) / PERIOD_S + 0.5 * max(dts) / PERIOD_S + 1
    assert not any(c for c, dt_s in zip(changed[1:], dts[1:], strict=True) if dt_s == 0.0)


def test_calls_in_between_answer_the_newest_signals_from_the_memory_as_it_is(
    policy: Policy,
) -> None:
    names = [n for n in SIGNALS if n != "previous_action"]
    still = {"previous_action": np.full(4, 0.25, np.float32)}
    runtime, memory = PolicyRuntime(policy), INITIAL_MEMORY
    for i, signals in enumerate(steps_of(random_signals(names, 40, seed=7))):
        expected, after = run_plain(policy, {**signals, **still}, memory)
        answer = runtime.step({**signals, **still}, 0.005)
        np.testing.assert_array_equal(answer, expected)
        memory = after if i % 2 == 0 else memory
        np.testing.assert_array_equal(memory_of(runtime), memory)


def test_duplicates_never_advance(policy: Policy) -> None:
    runtime = PolicyRuntime(policy)
    first, second = steps_of(random_signals(SIGNALS, 2, seed=8))
    runtime.step(first, 0.0)
    memory = memory_of(runtime)
    assert not np.array_equal(memory, INITIAL_MEMORY), "the first step after a reset advances"
    for _ in range(100):
        answer = runtime.step(second, 0.0)
        np.testing.assert_array_equal(memory_of(runtime), memory)
    np.testing.assert_array_equal(answer, run_plain(policy, second, memory)[0])
    runtime.step(second, PERIOD_S)
    assert not np.array_equal(memory_of(runtime), memory)


def test_a_duplicate_does_not_make_up_for_a_lost_period(policy: Policy) -> None:
    """The message at the period's end was broken; its successor advances, its duplicate not."""
    runtime = PolicyRuntime(policy)
    first, second = steps_of(random_signals(SIGNALS, 2, seed=25))
    runtime.step(first, PERIOD_S)
    memory = memory_of(runtime)
    runtime.step({**second, "orientation": np.full(4, np.nan)}, PERIOD_S)
    runtime.step(second, 0.0)
    np.testing.assert_array_equal(memory_of(runtime), memory)
    runtime.step(second, 0.001)
    assert not np.array_equal(memory_of(runtime), memory)


def test_previous_action_is_its_mean_over_the_period_weighted_by_time(policy: Policy) -> None:
    runtime = PolicyRuntime(policy)
    first, *rest = steps_of(random_signals(SIGNALS, 4, seed=9))
    runtime.step(first, PERIOD_S)
    dts = [0.002, 0.001, 0.007]
    total = np.zeros(4)
    for i, (signals, dt_s) in enumerate(zip(rest, dts, strict=True)):
        memory = memory_of(runtime)
        total += dt_s * signals["previous_action"]
        mean = total / sum(dts[: i + 1])
        expected, _ = run_plain(policy, {**signals, "previous_action": mean}, memory)
        # the mean is rounded to float32 once here and once there
        np.testing.assert_allclose(runtime.step(signals, dt_s), expected, atol=1e-6)
    # the third call advanced, so the mean starts anew
    memory = memory_of(runtime)
    expected, _ = run_plain(policy, first, memory)
    np.testing.assert_array_equal(runtime.step(first, 0.001), expected)


def test_time_step_is_the_time_since_the_last_advance(timed_policy: Policy) -> None:
    runtime = PolicyRuntime(timed_policy)
    signals = next(steps_of(random_signals(SIGNALS, 1, seed=10)))
    memory = INITIAL_MEMORY
    for dt_s, expected_s, advance in [
        (0.0, PERIOD_S, True),  # nothing is known yet: the nominal period
        (0.004, 0.004, False),
        (0.0, 0.004, False),
        (0.007, 0.011, True),
        (0.012, 0.012, True),
    ]:
        told = {**signals, "time_step": np.array([expected_s])}
        expected, after = run_plain(timed_policy, told, memory)
        given_wrong = {**signals, "time_step": np.array([99.0])}
        answer = runtime.step(given_wrong, dt_s)
        np.testing.assert_allclose(answer, expected, atol=1e-6)
        memory = after if advance else memory


def test_reset_forgets_everything(policy: Policy) -> None:
    runtime, fresh = PolicyRuntime(policy), PolicyRuntime(policy)
    for signals in steps_of(random_signals(SIGNALS, 7, seed=11)):
        runtime.step(signals, 0.004)
    runtime.reset()
    np.testing.assert_array_equal(memory_of(runtime), INITIAL_MEMORY)
    for signals in steps_of(random_signals(SIGNALS, 20, seed=12)):
        np.testing.assert_array_equal(runtime.step(signals, 0.004), fresh.step(signals, 0.004))
        np.testing.assert_array_equal(memory_of(runtime), memory_of(fresh))


def test_two_runtimes_share_nothing(policy: Policy) -> None:
    one, other = PolicyRuntime(policy), PolicyRuntime(policy)
    signals = next(steps_of(random_signals(SIGNALS, 1, seed=13)))
    answer = one.step(signals, PERIOD_S)
    kept = answer.copy()
    other.step({n: -v for n, v in signals.items()}, PERIOD_S)
    np.testing.assert_array_equal(answer, kept)


def test_answer_is_one_read_only_buffer_and_memory_a_copy(policy: Policy) -> None:
    runtime = PolicyRuntime(policy)
    first, second = steps_of(random_signals(SIGNALS, 2, seed=14))
    answer = runtime.step(first, PERIOD_S)
    assert answer.dtype == np.float32
    assert answer.shape == (4,)
    assert np.shares_memory(answer, runtime.step(second, PERIOD_S))
    with pytest.raises(ValueError, match="read-only"):
        answer[0] = 1.0
    runtime.memory["memory"][:] = 9.0
    assert memory_of(runtime).max() < 2.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", SIGNALS)
def test_one_bad_message_answers_nan_and_does_not_poison_the_memory(
    policy: Policy, name: str, bad: float
) -> None:
    runtime = PolicyRuntime(policy)
    first, second, third = steps_of(random_signals(SIGNALS, 3, seed=15))
    runtime.step(first, PERIOD_S)
    memory = memory_of(runtime)
    broken = {n: v.copy() for n, v in second.items()}
    broken[name][-1] = bad
    assert np.isnan(runtime.step(broken, PERIOD_S)).all()
    np.testing.assert_array_equal(memory_of(runtime), memory)
    expected, after = run_plain(policy, third, memory)
    np.testing.assert_array_equal(runtime.step(third, PERIOD_S), expected)
    np.testing.assert_array_equal(memory_of(runtime), after)


def test_takes_float64_and_strided_signals(policy: Policy) -> None:
    runtime, other = PolicyRuntime(policy), PolicyRuntime(policy)
    signals = next(steps_of(random_signals(SIGNALS, 1, seed=16)))
    wide = {n: np.repeat(v.astype(np.float64), 2)[::2] for n, v in signals.items()}
    np.testing.assert_array_equal(runtime.step(wide, 0.01), other.step(signals, 0.01))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"orientation": None}, "signal 'orientation' is missing"),
        ({"orientation": np.zeros(3)}, "'orientation' has shape (3,) and should have (4,)"),
        ({"orientation": np.zeros((1, 4))}, "has shape (1, 4) and should have (4,)"),
        ({"orientation": [1.0, 0.0, 0.0, 0.0]}, "is a list and not a numpy array"),
        ({"orientation": np.array(["w", "x", "y", "z"])}, "holds <U1 and not numbers"),
        ({"wind": np.zeros(3)}, "a quadrotor has no signals ['wind']"),
        ({"orientation": None, "orentation": np.zeros(4)}, "signal 'orientation' is missing"),
    ],
)
def test_refuses_wrong_signals(policy: Policy, change: dict, message: str) -> None:
    signals = next(steps_of(random_signals(SIGNALS, 1, seed=17))) | change
    signals = {name: value for name, value in signals.items() if value is not None}
    runtime = PolicyRuntime(policy)
    with pytest.raises(ContractError, match=re.escape(message)) as error:
        runtime.step(signals, PERIOD_S)
    assert "policy 'tiny'" in str(error.value)
    assert "Fix:" in str(error.value)
    np.testing.assert_array_equal(memory_of(runtime), INITIAL_MEMORY)


@pytest.mark.parametrize("dt_s", [-1e-9, float("nan"), float("inf")])
def test_refuses_time_that_makes_no_sense(policy: Policy, dt_s: float) -> None:
    signals = next(steps_of(random_signals(SIGNALS, 1, seed=18)))
    with pytest.raises(ContractError, match=r"stepped by .* s\. .*Fix: reset"):
        PolicyRuntime(policy).step(signals, dt_s)


def test_signals_of_the_family_that_the_policy_does_not_read_are_ignored(tmp_path: Path) -> None:
    small = load_policy(build(tmp_path / "policy.onnx", ("position_error", "orientation")))
    vocabulary = [signal.name for signal in QUADROTOR.signals]
    everything = next(steps_of(random_signals(vocabulary, 1, seed=19)))
    read = {n: everything[n] for n in ("position_error", "orientation")}
    answer = PolicyRuntime(small).step(everything, PERIOD_S)
    np.testing.assert_array_equal(answer, run_plain(small, read)[0])
    batch = BatchRunner(small, 1).step({n: v[None] for n, v in everything.items()})
    np.testing.assert_array_equal(batch[0], answer)


def test_a_signal_of_several_rows_reaches_the_graph_as_it_is(tmp_path: Path) -> None:
    """One robot and many alike; a preview that is laid out flat is refused."""
    names = (*SIGNALS, "reference_preview")
    policy = load_policy(build(tmp_path / "policy.onnx", names))
    signals, recurrence = random_signals(names, 3, seed=29), Recurrence(names)
    memories = np.repeat(INITIAL_MEMORY[None], 3, 0)
    expected, _ = recurrence.step(signals, memories)
    # float32 sums in another order
    np.testing.assert_allclose(BatchRunner(policy, 3).step(signals), expected, atol=2e-6)
    for i, one in enumerate(steps_of(signals)):
        np.testing.assert_allclose(PolicyRuntime(policy).step(one, 0.01), expected[i], atol=2e-6)
    flat = {**one, "reference_preview": one["reference_preview"].ravel()}
    message = "'reference_preview' has shape (12,) and should have (4, 3)"
    with pytest.raises(ContractError, match=re.escape(message)):
        PolicyRuntime(policy).step(flat, PERIOD_S)


def test_period_is_the_policys_own(tmp_path: Path) -> None:
    rate = RateSpec(nominal_hz=50.0, min_hz=50.0, max_hz=200.0)
    slow = load_policy(build(tmp_path / "policy.onnx", rate=rate))
    assert advances(slow, [0.01] * 8) == [True, False] * 4


def test_memory_does_not_grow_in_the_loop(policy: Policy) -> None:
    """Ten thousand steps at 200 Hz leave not one object behind."""
    runtime = PolicyRuntime(policy)
    signals = next(steps_of(random_signals((*SIGNALS, "time_step"), 1, seed=20)))

    def loop(steps: int) -> None:
        for _ in range(steps):
            runtime.step(signals, 0.005)

    tracemalloc.start()
    loop(100)
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    loop(10_000)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 512  # the interpreter's own floats and frames; one array is more
    assert peak - before < 4096


def test_batch_equals_each_robot_alone(policy: Policy) -> None:
    robots, steps = 5, 30
    signals = {
        n: v.reshape(steps, robots, -1)
        for n, v in random_signals(SIGNALS, steps * robots, seed=21).items()
    }
    runner = BatchRunner(policy, robots)
    alone = [PolicyRuntime(policy) for _ in range(robots)]
    for step in range(steps):
        if step == 12:
            mask = np.array([False, True, False, False, True])
            runner.reset(mask)
            alone[1].reset()
            alone[4].reset()
        actions = runner.step({n: v[step] for n, v in signals.items()})
        assert actions.shape == (robots, 4)
        for i, runtime in enumerate(alone):
            expected = runtime.step({n: v[step, i] for n, v in signals.items()}, PERIOD_S)
            # a product over a batch may sum in another order than one over a single row
            np.testing.assert_allclose(actions[i], expected, atol=2e-6)


def test_batch_reset_restores_the_initial_memory(policy: Policy) -> None:
    signals = random_signals(SIGNALS, 3, seed=22)
    runner = BatchRunner(policy, 3)
    first = runner.step(signals).copy()
    assert not np.array_equal(runner.step(signals), first)
    runner.reset()
    np.testing.assert_array_equal(runner.step(signals), first)


def test_batch_memory_can_be_taken_out_and_put_back(policy: Policy) -> None:
    signals = random_signals(SIGNALS, 3, seed=26)
    runner = BatchRunner(policy, 3)
    runner.step(signals)
    kept = runner.memory
    answer = runner.step(signals).copy()
    runner.memory["memory"][:] = 9.0  # a copy: the runner does not notice
    assert not np.array_equal(runner.step(signals), answer)
    runner.memory = kept
    kept["memory"][:] = 9.0  # nor does it keep what it was given
    np.testing.assert_array_equal(runner.step(signals), answer)


def test_batch_memory_reaches_the_robot_of_the_same_row(policy: Policy) -> None:
    signals = random_signals(SIGNALS, 3, seed=27)
    runner = BatchRunner(policy, 3)
    memory = np.random.default_rng(28).normal(0, 0.5, (3, 4))
    runner.memory = {"memory": memory}
    actions = runner.step(signals)
    for i in range(3):
        expected, _ = run_plain(policy, {n: v[i] for n, v in signals.items()}, memory[i])
        # a product over a batch may sum in another order than one over a single row
        np.testing.assert_allclose(actions[i], expected, atol=2e-6)


@pytest.mark.parametrize(
    "memory", [{}, {"memory": np.zeros((2, 4))}, {"memory": np.zeros((3, 4)), "more": np.zeros(3)}]
)
def test_batch_refuses_another_policys_memory(policy: Policy, memory: dict) -> None:
    runner = BatchRunner(policy, 3)
    with pytest.raises(ContractError, match=r"'tiny' cannot take the memory.*\(3, 4\).*Fix:"):
        runner.memory = memory


def test_batch_fills_the_time_step(timed_policy: Policy) -> None:
    signals = random_signals((*SIGNALS, "time_step"), 3, seed=23)
    given_period = BatchRunner(timed_policy, 3).step(signals)
    signals.pop("time_step")
    np.testing.assert_array_equal(BatchRunner(timed_policy, 3).step(signals), given_period)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"orientation": None}, "'orientation' is missing"),
        ({"orientation": np.zeros((2, 4))}, "has shape (2, 4) and should have (3, 4)"),
        ({"wind": np.zeros((3, 3))}, "no signals ['wind']"),
    ],
)
def test_batch_refuses_wrong_signals(policy: Policy, change: dict, message: str) -> None:
    signals = random_signals(SIGNALS, 3, seed=24) | change
    signals = {name: value for name, value in signals.items() if value is not None}
    with pytest.raises(ContractError, match=re.escape(message)):
        BatchRunner(policy, 3).step(signals)
