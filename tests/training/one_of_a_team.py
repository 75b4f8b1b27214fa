"""The command `acclimate`, for tests that need it in several processes; not a test itself.

It trains without exporting, and by plain gradient descent: SOAP follows directions in which there
is next to no gradient as eagerly as all others, so that two sums of the same numbers in another
order lead it elsewhere. `SIGNALLED` names a rank, an iteration in which it sends itself a signal,
and the signal.
"""

import os
import sys
from dataclasses import replace

import torch

from acclimate_deploy.command import main
from acclimate_training import trainer
from acclimate_training.algorithms import gradient_training
from acclimate_training.algorithms.algorithm import Algorithm, Outcome
from acclimate_training.config import TrainCfg
from acclimate_training.parallel import Team

RANK, ITERATION, SIGNAL = map(int, os.environ.get("SIGNALLED", "-1 0 0").split())


def signalled(cfg: TrainCfg, device: torch.device, team: Team) -> Algorithm:
    algorithm = gradient_training.by_gradients(cfg, device, team)

    def iterate(iteration: int) -> Outcome:
        if (team.rank, iteration) == (RANK, ITERATION):
            os.kill(os.getpid(), SIGNAL)
        return algorithm.iterate(iteration)

    return replace(algorithm, iterate=iterate)


gradient_training.Soap = torch.optim.SGD
trainer.ALGORITHMS["gradients"] = signalled
trainer.export_run = lambda run, path: None

if __name__ == "__main__":
    sys.exit(main())
