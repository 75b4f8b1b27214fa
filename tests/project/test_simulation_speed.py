"""The page of speeds shows the record, and peers that are missing stop nobody."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import simulation_page

    return simulation_page


@pytest.fixture
def sim_speed(page: ModuleType) -> ModuleType:
    from benchmarks import sim_speed

    return sim_speed


def test_page_is_made_from_the_record(page: ModuleType) -> None:
    record = json.loads(page.RECORD.read_text())
    assert page.PAGE.read_text() == page.rewritten(page.PAGE.read_text(), record)


def test_page_follows_the_record(page: ModuleType) -> None:
    record = json.loads(page.RECORD.read_text())
    text = page.PAGE.read_text()
    told = record["figures"]["engines"]["fused"]["65536"]
    told |= {"per_core_second": 12_300_000, "per_second": 12_000_000, "all_cores_over_one": 1.87}
    record["machine"]["load_average"] = 1.5
    row = "| fused | 65,536 | 12.3 M | 81 | x 1.87 |"
    assert row not in text
    assert row in page.rewritten(text, record)
    busy = "| fused | 65,536 | 12.3 M | 81 | busy |"
    record["machine"]["load_average"] = 3.0
    assert busy in page.rewritten(text, record)
    record["machine"]["load_average"] = 1.5
    told["per_second"] = 6_000_000
    assert busy in page.rewritten(text, record)
    record["figures"]["peers"]["l2f"] = {"within": "nothing", "missing": "not installed: pip"}
    assert "| not installed: pip |" in page.rewritten(text, record)


def test_a_missing_peer_is_said_and_skipped(
    sim_speed: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.peers import PEERS

    monkeypatch.setattr(sim_speed, "installed", lambda peer: False)
    for name, peer in PEERS.items():
        told = sim_speed._peer(name, peer)
        assert told["missing"].startswith("not installed: pip install")


def test_a_peer_runs_in_its_own_process_and_one_that_fails_says_why(
    sim_speed: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import peers

    ours = peers.Peer(
        module="gymnasium_steps",
        package="gymnasium",
        install="pip install gymnasium",
        within="",
        sizes=(1, 3),
        arguments=("acclimate_sim.envs:acclimate/Quadrotor-v0", "analytic"),
    )
    rates = peers.measure(ours)
    assert list(rates) == [1, 3]
    assert 0.0 < rates[1]["per_core_second"] < rates[3]["per_core_second"]
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(peers.PeerError, match="gymnasium_steps failed"):
        peers.measure(ours)
