"""The evaluation of a policy: suites, record, summary."""

import hashlib
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from acclimate_contract import REFERENCE_PREVIEW
from acclimate_deploy.files import write_json
from acclimate_deploy.policy import load_policy
from acclimate_deploy.provenance import provenance
from acclimate_sim.engines.table import make_engine
from acclimate_sim.multirotor import Engine
from acclimate_sim.seeds import MAX_SEED
from acclimate_training.commands import EvaluateCfg
from acclimate_training.errors import EvaluationError
from acclimate_training.evaluation.figures import intervals, numbers
from acclimate_training.evaluation.pilots import PEERS, onnx_pilot
from acclimate_training.evaluation.suites import GROUND, SUITES, Contestant, SuiteCfg
from acclimate_training.evaluation.suites.multi_rate import CLOCKS, nearest_to_the_period
from acclimate_training.evaluation.suites.scenario import STREAM_BITS, Progress

FULL = "full"
POLICY = "policy"
"""The name in the record of the policy that is evaluated."""
TRAINED_IN = "analytic"
"""The engine that policies are trained in, and by which others are measured."""
MAX_ROBOTS_ELSEWHERE = 1024
"""Robots per scenario on new ground, where the scenarios are many."""
WHOLE_FLEET = (GROUND, "knowledge")
"""Suites of few flights, for which all robots are flown; probes need many to learn from."""


def evaluate(
    cfg: EvaluateCfg, progress: Progress = lambda scenario: None
) -> tuple[dict[str, Any], Path]:
    """Fly a policy, and its peer if asked for, and write the record.

    In another engine than the analytic one, the very same robots fly in both, and the figures of
    the other stand beside, under `flown_in`.

    Returns:
        The record and where it was written.

    Raises:
        ContractError: The policy file is refused.
        ConfigError: There is no such engine, or what it needs is not installed.
        EvaluationError: The settings are impossible or the record cannot be written.
    """
    if cfg.robots < 1:
        raise EvaluationError(f"--robots is {cfg.robots}. Fix: fly at least one.")
    if not 0 <= cfg.seed <= MAX_SEED >> STREAM_BITS:
        raise EvaluationError(
            f"--seed is {cfg.seed}, whose draws repeat those of another. "
            f"Fix: use 0 to {MAX_SEED >> STREAM_BITS}."
        )
    out = cfg.out or cfg.policy.parent / record_name(cfg.suite, cfg.engine)
    num_motors = _num_motors(cfg)
    engines = {name: make_engine(name) for name in dict.fromkeys((TRAINED_IN, cfg.engine))}
    contestants = _contestants(cfg)
    known = _known_figures(cfg)
    torch.set_num_threads(1)
    started = time.monotonic()
    chosen = tuple(SUITES) if cfg.suite == FULL else (cfg.suite,)
    record = {
        "policy_sha256": hashlib.sha256(cfg.policy.read_bytes()).hexdigest(),
        "settings": {
            **asdict(cfg),
            "policy": cfg.policy.name,
            "peer_record": cfg.peer_record and str(cfg.peer_record),
            "out": out.name,
        },
        "figures": {
            name: known.get(name)
            or _fly_suites(
                name,
                contestant,
                chosen,
                SuiteCfg(robots=cfg.robots, seed=cfg.seed, engine=engine, num_motors=num_motors),
                progress,
            )
            for contestant in contestants
            for name, engine in _flown_in(contestant, engines).items()
        },
        "seconds": round(time.monotonic() - started, 1),
        "provenance": provenance(cfg.seed),
    }
    try:
        write_json(out, record)
    except OSError as error:
        raise EvaluationError(
            f"cannot write the record {out} ({error}). Fix: choose another --out."
        ) from error
    return record, out


def record_name(suite: str, engine: str = TRAINED_IN) -> str:
    """File name of the record of a suite; a part of the whole must not take the whole's place."""
    parts = ["evaluation"]
    parts += [] if suite in (GROUND, FULL) else [suite]
    parts += [] if engine == TRAINED_IN else [engine]
    return "-".join(parts) + ".json"


def flown_in(name: str, engine: str) -> str:
    """Name in the record of somebody's figures in an engine."""
    return name if engine == TRAINED_IN else f"{name} in {engine}"


def summary(record: dict[str, Any]) -> dict[str, Any]:
    """The few figures that go into the policy file itself."""
    figures = record["figures"][POLICY]
    hold = figures["hold"]
    return {
        "robots": record["settings"]["robots"],
        "seed": record["settings"]["seed"],
        "lost": hold["lost"],
        "terminated": hold["terminated"],
        "settled_0.2m": hold["settled_0.2m"],
        "final_error_median_m": hold["final_error_median_m"],
        "figure_eight_10s_rmse_median_m": figures["figure_eight_10s"]["rmse_median_m"],
        "figure_eight_5.5s_rmse_median_m": figures["figure_eight_5.5s"]["rmse_median_m"],
    }


def read_record(path: Path) -> dict[str, Any]:
    """Read an evaluation record; raises EvaluationError if there is none."""
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise EvaluationError(
            f"no evaluation record at {path} ({error}). Fix: run acclimate evaluate first."
        ) from error


def _num_motors(cfg: EvaluateCfg) -> int:
    """Of the robots that the policy flies; peers fly four."""
    family = load_policy(cfg.policy).manifest.family
    num_motors = len(family.action.channels)
    if cfg.peer != "none" and num_motors != 4:
        raise EvaluationError(
            f"the peer {cfg.peer} flies quadrotors, and {cfg.policy} a {family.name}. "
            "Fix: --peer none."
        )
    return num_motors


def _contestants(cfg: EvaluateCfg) -> list[Contestant]:
    """The policy and its peer; a file or package that is missing is told before the flights."""
    read = {signal.name for signal in load_policy(cfg.policy).manifest.signals}
    contestants = [
        Contestant(
            name=POLICY, make_pilot=onnx_pilot(cfg.policy), foresees=REFERENCE_PREVIEW in read
        )
    ]
    if cfg.peer != "none":
        PEERS[cfg.peer](1)
        clock = CLOCKS.get(cfg.peer, nearest_to_the_period)
        contestants.append(Contestant(name=cfg.peer, make_pilot=PEERS[cfg.peer], make_clock=clock))
    return contestants


def _known_figures(cfg: EvaluateCfg) -> dict[str, Any]:
    """The peer's figures from another record, if that is asked for; raises if they differ."""
    if cfg.peer_record is None:
        return {}
    record = read_record(cfg.peer_record)
    if cfg.peer not in record.get("figures", {}):
        raise EvaluationError(
            f"{cfg.peer_record} has no figures of the peer {cfg.peer}. Fix: another --peer."
        )
    for name in ("suite", "robots", "seed", "peer"):
        theirs, ours = record["settings"].get(name), getattr(cfg, name)
        if theirs != ours:
            raise EvaluationError(
                f"{cfg.peer_record} was made with --{name} {theirs} and this evaluation has "
                f"{ours}: its peer met other robots. Fix: use the same, or leave --peer-record."
            )
    return {cfg.peer: record["figures"][cfg.peer]}


def _flown_in(contestant: Contestant, engines: dict[str, Engine]) -> dict[str, Engine]:
    return {flown_in(contestant.name, name): engine for name, engine in engines.items()}


def _fly_suites(
    name: str,
    contestant: Contestant,
    chosen: tuple[str, ...],
    cfg: SuiteCfg,
    progress: Progress,
) -> dict[str, Any]:
    """Figures of one contestant: those of RAPTOR's ground as they are, the rest under `suites`."""
    flown = {}
    for suite in chosen:
        robots = cfg.robots if suite in WHOLE_FLEET else min(cfg.robots, MAX_ROBOTS_ELSEWHERE)
        flown[suite] = SUITES[suite](
            contestant,
            replace(cfg, robots=robots),
            lambda scenario, suite=suite: progress(f"{name}: {suite}: {scenario}"),
        )
    return {
        **numbers(flown.get(GROUND, {})),
        "suites": {suite: numbers(figures) for suite, figures in flown.items() if suite != GROUND},
        "intervals": {suite: intervals(figures) for suite, figures in flown.items()},
    }
