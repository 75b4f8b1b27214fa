"""The measurement runs and says what it measured; how fast is not a test's business."""

import pytest

from acclimate_contract import ConfigError
from acclimate_sim.commands import BenchCfg, bench
from acclimate_sim.speed import measure


@pytest.mark.parametrize("engine", ["analytic", "fused"])
def test_speed_counts_robots_and_not_calls(engine: str) -> None:
    few, many = (measure(engine, n, seconds=0.05) for n in (1, 512))
    assert many.num_envs == 512
    assert many.per_core_second > 20 * few.per_core_second > 0.0
    assert few.start_s > 0.0


def test_table_has_a_row_for_each_engine_and_size(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = (1, 64)
    assert bench(BenchCfg(what="sim", engines=("analytic",), num_envs=sizes, seconds=0.01)) == 0
    assert capsys.readouterr().out.count("analytic") == len(sizes)


@pytest.mark.parametrize("wrong", [{"num_envs": (0,)}, {"threads": 0}, {"seconds": 0.0}])
def test_nothing_to_measure_is_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match="nothing to measure"):
        bench(BenchCfg(what="sim", **wrong))
    with pytest.raises(ConfigError, match=r"unknown engine 'warp'.*analytic"):
        bench(BenchCfg(what="sim", engines=("warp",)))
