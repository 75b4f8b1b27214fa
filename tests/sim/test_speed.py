"""The measurement runs and says what it measured; how fast is not a test's business."""

import pytest
import torch

from acclimate_contract import ConfigError
from acclimate_sim import memory, speed
from acclimate_sim.commands import BenchCfg, bench
from acclimate_sim.memory import check_room, free_bytes, peak_bytes
from acclimate_sim.speed import FEW_BYTES, MANY, best_round, measure

CPU = torch.device("cpu")
MEGABYTES = 2**20


@pytest.mark.parametrize("engine", ["analytic", "fused"])
def test_speed_counts_robots_and_not_calls(engine: str) -> None:
    few, many = (measure(engine, n, seconds=0.05) for n in (1, 512))
    assert many.num_envs == 512
    assert few.per_core_second is not None
    assert many.per_core_second is not None
    assert many.per_core_second > 20 * few.per_core_second > 0.0
    assert few.start_s > 0.0


def test_rounds_give_the_time_of_one_step() -> None:
    flown: list[int] = []
    moments = iter(range(10_000))

    def fly(count: int) -> None:
        flown.append(count)
        for _ in range(count):
            next(moments)
            sum(range(20_000))

    wall_s, core_s = best_round(fly, 0.05)
    assert max(flown) > 1
    assert 0.0 < core_s < 0.02
    assert wall_s > 0.0
    assert sum(flown) * core_s < 1.0


@pytest.mark.parametrize("engine", ["analytic", "fused"])
def test_memory_of_a_robot_is_its_numbers_and_what_a_step_needs(engine: str) -> None:
    held = 4 * (49 + 17 + 4)
    taken = measure(engine, 4 * MANY, seconds=0.01).bytes_per_robot
    assert taken is not None
    assert held + 4 * 17 < taken < FEW_BYTES
    assert measure(engine, MANY - 1, seconds=0.01).bytes_per_robot is None


def test_memory_is_not_told_where_the_system_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CLEAR", memory.STATUS / "nothing")
    assert measure("analytic", MANY, seconds=0.01).bytes_per_robot is None


def test_peak_is_what_was_held_at_once() -> None:
    def work() -> None:
        for _ in range(3):
            torch.ones(40 * MEGABYTES // 4)

    work()
    assert 38 * MEGABYTES < peak_bytes(work, CPU) < 60 * MEGABYTES


def test_too_many_robots_are_refused_before_memory_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 100 * FEW_BYTES)
    with pytest.raises(ConfigError, match=r"101 robots need about.*Fix: at most 64 at once"):
        measure("analytic", 101)
    measure("analytic", 100, seconds=0.01)
    with pytest.raises(ConfigError, match=r"3 robots need.*at most 2 at once"):
        measure("mujoco", 3)


def test_free_memory_is_told_in_bytes() -> None:
    free = free_bytes(CPU)
    assert free > 10 * MEGABYTES
    check_room("robots", 1, free // 2, CPU)
    with pytest.raises(ConfigError, match="100 robots need about"):
        check_room("robots", 100, free, CPU)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_running_out_of_memory_is_one_error(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, threads: int) -> None:
        raise error

    monkeypatch.setattr(speed, "_engine", refuse)
    with pytest.raises(ConfigError, match=r"Fix: at most \d+ at once"):
        measure("analytic", 8)


def test_other_errors_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, threads: int) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(speed, "_engine", fail)
    with pytest.raises(RuntimeError, match="something else"):
        measure("analytic", 8)


def test_threads_are_as_many_as_asked_for_and_then_as_before() -> None:
    before = torch.get_num_threads()
    told = measure("mujoco", 2, threads=2, seconds=0.01)
    assert told.threads == 2
    assert torch.get_num_threads() == before


def test_a_gpu_is_asked_for_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"'fused' is measured on a CPU only.*analytic"):
        measure("fused", 1, device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"torch sees no CUDA device. Fix: use --device cpu"):
        measure("analytic", 1, device="cuda")


@pytest.mark.gpu
def test_a_graph_steps_robots_on_a_gpu() -> None:
    told = measure("analytic", MANY, seconds=0.1, device="cuda")
    assert told.per_core_second is None
    assert told.per_second > MANY
    assert told.bytes_per_robot is not None


def test_table_has_a_row_for_each_engine_size_and_number_of_threads(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cfg = BenchCfg(
        what="sim", engines=("analytic",), num_envs=(1, 64), threads=(1, 2), seconds=0.01
    )
    assert bench(cfg) == 0
    assert capsys.readouterr().out.count("analytic") == 4


@pytest.mark.parametrize(
    "wrong", [{"num_envs": (0,)}, {"threads": (0,)}, {"threads": ()}, {"seconds": 0.0}]
)
def test_nothing_to_measure_is_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match="nothing to measure"):
        bench(BenchCfg(what="sim", **wrong))
    with pytest.raises(ConfigError, match=r"unknown engine 'warp'.*analytic"):
        bench(BenchCfg(what="sim", engines=("warp",)))
