"""Run the benchmark cases named on the command line, or all of them."""

import sys
from collections.abc import Callable

from benchmarks import control_loop, runtime_step, training_iteration
from benchmarks.record import Figures, write_result

CASES: dict[str, Callable[[], Figures]] = {
    "runtime_step": runtime_step.measure,
    "training_iteration": training_iteration.measure,
    "control_loop": control_loop.measure,
}


def main(names: list[str]) -> int:
    """Measure, print and record; exit code 2 for an unknown case."""
    unknown = sorted(set(names) - set(CASES))
    if unknown:
        print(f"unknown case {unknown}; the cases are {list(CASES)}", file=sys.stderr)
        return 2
    for name in names or CASES:
        print(f"== {name}", flush=True)
        path = write_result(name, CASES[name]())
        print(f"   written to {path}", flush=True)
    return 0


sys.exit(main(sys.argv[1:]))
