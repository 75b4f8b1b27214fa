"""A training run: iterate, report, save; resumable at any moment, alone or in a team."""

import json
import logging
import math
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from acclimate_contract import multirotor_family
from acclimate_sim.memory import is_out_of_memory
from acclimate_sim.multirotor import DISTRIBUTIONS, sample
from acclimate_training.algorithms.algorithm import Algorithm, AlgorithmMaker
from acclimate_training.algorithms.batches import share_of
from acclimate_training.algorithms.gradient_training import by_gradients
from acclimate_training.algorithms.meta_imitation import by_imitation
from acclimate_training.checkpoint import Checkpoint, load_checkpoint
from acclimate_training.config import TrainCfg
from acclimate_training.errors import TrainingError
from acclimate_training.export import export_policy
from acclimate_training.parallel import Team
from acclimate_training.policies import MultirotorPolicy
from acclimate_training.policy_config import PolicyCfg
from acclimate_training.run_directory import (
    CHECKPOINT,
    EVENTS,
    POLICY,
    RUN,
    Report,
    RunLog,
    different,
    last_checkpoint,
    record_run,
    settings_of,
)
from acclimate_training.torchrun import Launch, joined, launched
from acclimate_training.workers import hired

logger = logging.getLogger(__name__)

ALGORITHMS: dict[str, AlgorithmMaker] = {
    "gradients": by_gradients,
    "meta-imitation": by_imitation,
}
"""Algorithm name -> constructor from settings, device and team."""


def train(cfg: TrainCfg, report: Report = lambda iteration, figures: None) -> Path:
    """Train until `cfg.iterations` are completed, going on from a checkpoint if there is one.

    In processes that torchrun started, all of them call this; the one of rank 0 alone reports and
    writes files.

    Returns:
        Path of the exported policy, or of the checkpoint if no robot could fly it (an oracle).

    Raises:
        TrainingError: The directory holds another run, the disk refuses, a process died, or a
            number stopped being finite.
        KeyboardInterrupt: SIGINT or SIGTERM came; the state was saved first.
        SystemExit: Training ended by such an error, and another process of torchrun's raises it.
    """
    torch.set_num_threads(1)  # batches this small lose more to waiting than they gain
    launch = launched()
    with _stop_signals() as stop, joined(launch) if launch else nullcontext(Team()) as team:
        device = choose_device(cfg.device, launch)
        check_team(cfg, team, device)
        _check_compiler(cfg)
        _check_family(cfg)
        if team.leads:
            _lead(cfg, device, team, stop, report)
        else:
            algorithm, done = begin(cfg, device, team)
            _iterate(cfg, team, algorithm, done, stop)
    if cfg.policy.privileged:
        return cfg.out / CHECKPOINT
    if team.leads:
        export_run(cfg.out, cfg.out / POLICY)
    return cfg.out / POLICY


def _lead(
    cfg: TrainCfg, device: torch.device, team: Team, stop: Callable[[], bool], report: Report
) -> None:
    """What the process of rank 0 does: it alone knows the run's directory."""
    checkpoint = last_checkpoint(cfg)
    done = checkpoint.iteration if checkpoint else 0
    logger.info("%d of %d iterations are done", done, cfg.iterations)
    record_run(cfg, device, max(team.size, cfg.workers), fresh=not done)
    workers = hired(cfg.workers, partial(_follow, cfg)) if cfg.workers > 1 else nullcontext(team)
    # purge_step drops what a killed run logged after its last checkpoint.
    with workers as crew, SummaryWriter(str(cfg.out / EVENTS), purge_step=done) as events:
        algorithm, _ = begin(cfg, device, crew, checkpoint)
        log = RunLog(
            cfg=cfg,
            algorithm=algorithm,
            events=events,
            report=report,
            begin_s=checkpoint.elapsed_s if checkpoint else 0.0,
        )
        _iterate(cfg, crew, algorithm, done, stop, log)


def _follow(cfg: TrainCfg, team: Team) -> None:
    """What a worker does; it hears of no signal, and its leader of all."""
    torch.set_num_threads(1)
    algorithm, done = begin(cfg, torch.device("cpu"), team)
    _iterate(cfg, team, algorithm, done, stop=lambda: False)


def begin(
    cfg: TrainCfg, device: torch.device, team: Team, checkpoint: Checkpoint | None = None
) -> tuple[Algorithm, int]:
    """Build the algorithm as it was when the leader's checkpoint was written, or as it begins.

    Returns:
        The algorithm, and the number of iterations that are done.

    Raises:
        TrainingError: This process was started with other settings than the leader, or its machine
            has a later checkpoint.
    """
    saved = None if checkpoint is None else vars(checkpoint)
    settings, saved = team.from_leader((settings_of(cfg), saved))
    done = saved["iteration"] if saved else 0
    if names := different(settings_of(cfg), settings):
        raise TrainingError(
            f"process {team.rank} of {team.size} was started with other settings than the first "
            f"({', '.join(names)}). Fix: give the same command to torchrun on all machines."
        )
    if (later := _iterations_in(cfg.out)) > done:
        raise TrainingError(
            f"process {team.rank} of {team.size} has a checkpoint of iteration {later} in "
            f"{cfg.out}, and the first process, on another machine, of {done}: the work between "
            "them would be lost. Fix: give --node-rank 0 to the machine of the former, or copy "
            "the directory to that of the latter."
        )
    torch.manual_seed(cfg.seed)
    algorithm = ALGORITHMS[cfg.algorithm](cfg, device, team)
    if saved:
        for name, part in algorithm.parts.items():
            part.load_state_dict(saved["parts"][name])
    return algorithm, done


def _iterations_in(run: Path) -> int:
    """Iterations that a run has completed by its checkpoint on this machine."""
    path = run / CHECKPOINT
    return load_checkpoint(path).iteration if path.exists() else 0


def _iterate(
    cfg: TrainCfg,
    team: Team,
    algorithm: Algorithm,
    done: int,
    stop: Callable[[], bool],
    log: RunLog | None = None,
) -> None:
    """Go through the iterations that are left, in step with the team; the leader has the log."""
    for iteration in range(done, cfg.iterations):
        with _room_for(cfg):
            outcome = algorithm.iterate(iteration)
        figures = team.average_figures(outcome.figures)
        if not all(map(math.isfinite, figures.values())):
            raise _broken(cfg, team, algorithm, iteration, figures, outcome.robot_cost)
        completed = iteration + 1
        if log:
            log.add(completed, figures)
        stopping = team.any(stop())
        if log and (stopping or completed == cfg.iterations):
            log.save(completed)
        if stopping:
            raise KeyboardInterrupt


@contextmanager
def _room_for(cfg: TrainCfg) -> Iterator[None]:
    """Say what would fit where memory runs out; horizons grow, so that it may happen late."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            f"{cfg.num_envs} robots for up to {cfg.last_horizon} steps do not fit into memory. The "
            f"last checkpoint is untouched. Fix: start anew with --num-envs {cfg.num_envs // 2} or "
            "a shorter --last-horizon, or take more machines with torchrun."
        ) from error


def export_run(run: Path, path: Path) -> None:
    """Export the last checkpoint of a run, finished or not."""
    checkpoint = load_checkpoint(run / CHECKPOINT)
    settings = checkpoint.config
    policy = MultirotorPolicy(PolicyCfg(**settings["policy"]))
    policy.load_state_dict(checkpoint.parts["policy"])
    origin = json.loads((run / RUN).read_text())["provenance"]
    export_policy(
        policy,
        path,
        name=path.parent.name,
        distribution=DISTRIBUTIONS[settings["space"]]().to_json(),
        provenance={
            **origin,
            "situations": settings["situations"],
            "iterations": checkpoint.iteration,
            "training_seconds": round(checkpoint.elapsed_s, 1),
        },
    )


def choose_device(name: str, launch: Launch | None = None) -> torch.device:
    """Resolve "auto", one GPU for each process; raises TrainingError for one that is not there."""
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError(
            "--device cuda was asked for and torch sees no CUDA device. "
            "Fix: use --device auto, or install a CUDA build of torch and its driver."
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu" or launch is None:
        return torch.device(name)
    if launch.local_rank >= torch.cuda.device_count():
        raise TrainingError(
            f"torch sees {torch.cuda.device_count()} CUDA devices, and process "
            f"{launch.local_rank + 1} of this machine has none to itself. "
            "Fix: give torchrun a smaller --nproc-per-node, or use --device cpu."
        )
    return torch.device(name, launch.local_rank)


def _check_compiler(cfg: TrainCfg) -> None:
    """Refuse to compile without a compiler before torch fails at length."""
    compilers = [os.environ.get("CXX", ""), "g++", "clang++"]
    if cfg.compile and not any(map(shutil.which, filter(None, compilers))):
        raise TrainingError(
            "no C++ compiler was found, and without one the control step cannot be compiled. "
            "Fix: apt install g++, or train ten times slower with --no-compile."
        )


def check_team(cfg: TrainCfg, team: Team, device: torch.device) -> None:
    """Refuse what the processes of a team, or workers, cannot do."""
    cfg.check_shared_by(team.size)
    if cfg.workers > 1 and team.size > 1:
        raise TrainingError(
            f"{team.size} processes of torchrun share the robots already, and each was to have "
            f"{cfg.workers} workers. Fix: --workers 1, and a larger --nproc-per-node."
        )
    if cfg.workers > 1 and device.type != "cpu":
        raise TrainingError(
            f"{cfg.workers} workers share CPU cores, and this run computes on {device}, which one "
            "process fills. Fix: --workers 1, or --device cpu; for several GPUs, torchrun."
        )


def _check_family(cfg: TrainCfg) -> None:
    """Refuse to give setpoints to motors that the robots do not have."""
    robots = sample(DISTRIBUTIONS[cfg.space](), 1, torch.Generator())
    family = multirotor_family(robots.num_motors)
    if family.name != cfg.policy.family:
        raise TrainingError(
            f"the robots of --space {cfg.space} are {family.name}s and the policy is for a "
            f"{cfg.policy.family}. Fix: --policy.family {family.name}."
        )


def _broken(
    cfg: TrainCfg,
    team: Team,
    algorithm: Algorithm,
    iteration: int,
    figures: dict[str, float],
    robot_cost: Tensor,
) -> TrainingError:
    """What to raise before a broken state is saved; names a robot where only some broke."""
    broken = {name: value for name, value in figures.items() if not math.isfinite(value)}
    flags = torch.zeros(cfg.num_envs)
    share = share_of(cfg.num_envs, team)
    flags[share.start : share.stop] = (~robot_cost.isfinite()).float().cpu()
    envs = team.average(flags).nonzero().flatten().tolist()
    culprit = ""
    if 0 < len(envs) < cfg.num_envs:
        seed, number = algorithm.origin(iteration, envs[0])
        space = DISTRIBUTIONS[cfg.space]()
        robot = {name: float(value) for name, value in space.numbered(seed, [number]).items()}
        culprit = (
            f"{len(envs)} of {cfg.num_envs} robots broke; the first is robot {number} of seed "
            f"{seed} of {space.name!r}, which numbered({seed}, [{number}]) draws again: {robot}. "
        )
    return TrainingError(
        f"{broken} at iteration {iteration} of {cfg.iterations}. {culprit}The last checkpoint is "
        "untouched. Fix: lower --learning-rate or --state-damping, or report this seed."
    )


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Turn SIGINT and SIGTERM into a question asked between iterations; a second one insists."""
    stopped = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopped
        if stopped:
            raise KeyboardInterrupt
        stopped = True

    previous = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
