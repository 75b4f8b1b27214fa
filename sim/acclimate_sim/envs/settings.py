"""What can be chosen about an environment."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch

from acclimate_contract import ConfigError
from acclimate_sim.engines.table import make_engine
from acclimate_sim.multirotor import DISTRIBUTIONS, Engine, InitialStates
from acclimate_sim.multirotor.distribution import FAMILY, NEEDED
from acclimate_sim.randomization import ParameterSpace, check_family

OBSERVATIONS = ("signals", "flat")
CONTEXTS = ("hidden", "exposed")


@dataclass(frozen=True, kw_only=True)
class MultirotorEnvCfg:
    """Keyword arguments of `gymnasium.make` and `gymnasium.make_vec`.

    Attributes:
        space: Robots to fly, a name in `DISTRIBUTIONS` or a space of one's own.
        engine: What moves them, a name in `ENGINES` or an engine of one's own.
        observation: "signals" for a dictionary of the contract's signals, "flat" for one vector
            of them in the contract's order.
        context: "exposed" shows the true draws of the robot's parameters as well; "hidden" not.
        force: Push each robot with a constant random force, as published.
        start: Ranges of the first states.
        device: Where the robots fly.
    """

    space: str | ParameterSpace = "published"
    engine: str | Engine = "analytic"
    observation: str = "signals"
    context: str = "hidden"
    force: bool = True
    start: InitialStates = field(default_factory=InitialStates)
    device: str = "cpu"

    def __post_init__(self) -> None:
        if isinstance(self.space, str):
            _choose("space", self.space, tuple(DISTRIBUTIONS))
        _choose("observation", self.observation, OBSERVATIONS)
        _choose("context", self.context, CONTEXTS)
        if torch.device(self.device).type == "cuda" and not torch.cuda.is_available():
            raise ConfigError(
                f"device {self.device!r}: torch finds no CUDA device here. Fix: use 'cpu', or "
                "install a torch with CUDA on a machine with a GPU."
            )

    @classmethod
    def from_keywords(cls, keywords: Mapping[str, Any]) -> "MultirotorEnvCfg":
        """Build from keyword arguments; raises ConfigError for an unknown one."""
        for name in keywords:
            _choose("setting", name, tuple(f.name for f in fields(cls)))
        return cls(**keywords)

    def build_space(self) -> ParameterSpace:
        """The robots to fly; raises ConfigError if a space of one's own describes none."""
        space = DISTRIBUTIONS[self.space]() if isinstance(self.space, str) else self.space
        check_family(space, FAMILY, NEEDED)
        if space.processes:
            raise ConfigError(
                f"robots of {space.name!r} change in flight, and here they stay as they are drawn. "
                "Fix: replace(space, processes=()), or train on it with acclimate_training."
            )
        return space

    def build_engine(self) -> Engine:
        """What moves them; raises ConfigError if it is unknown or not installed."""
        return make_engine(self.engine) if isinstance(self.engine, str) else self.engine


def _choose(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? Otherwise use" if close else "use"
        raise ConfigError(
            f"the environment has no {what} {name!r}. Fix: {hint} one of {', '.join(known)}."
        )
