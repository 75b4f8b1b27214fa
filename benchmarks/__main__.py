"""Run the benchmark cases named on the command line, or all that need no long training."""

import sys
from collections.abc import Callable

from benchmarks import (
    adaptation_gap,
    algorithms,
    control_loop,
    exact_answer,
    runtime_step,
    sim_speed,
    training_iteration,
)
from benchmarks.record import Figures, write_result

CASES: dict[str, Callable[[], Figures]] = {
    "runtime_step": runtime_step.measure,
    "training_iteration": training_iteration.measure,
    "sim_speed": sim_speed.measure,
    "control_loop": control_loop.measure,
    "exact_answer": exact_answer.measure,
}
TRAININGS: dict[str, Callable[[], Figures]] = {
    "adaptation_gap": adaptation_gap.measure,
    "algorithms": algorithms.measure,
}
"""Run only when named: they train several policies, half an hour and more, and go on where they
were stopped."""


def main(names: list[str]) -> int:
    """Measure, print and record; exit code 2 for an unknown case."""
    known = CASES | TRAININGS
    unknown = sorted(set(names) - set(known))
    if unknown:
        print(f"unknown case {unknown}; the cases are {list(known)}", file=sys.stderr)
        return 2
    for name in names or CASES:
        print(f"== {name}", flush=True)
        path = write_result(name, known[name]())
        print(f"   written to {path}", flush=True)
    return 0


sys.exit(main(sys.argv[1:]))
