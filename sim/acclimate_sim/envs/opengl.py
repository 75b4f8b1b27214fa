"""An OpenGL context without a display: which way works is found out when one is needed.

A failed attempt can spoil the process for the next one, or end it. So each way is tried in a
process of its own, unless MUJOCO_GL says which to take.
"""

import importlib
import os
import subprocess
import sys
from functools import cache
from typing import Any

from acclimate_sim.engines.errors import SimulationError

WAYS = ("egl", "osmesa", "glfw")
PROBE = """
from mujoco.{way} import GLContext
context = GLContext(64, 64)
context.make_current()
import mujoco
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), 100).free()
context.free()
"""
PROBE_TIMEOUT_S = 60


def make_context(width: int, height: int) -> Any:
    """Create a context and make it current.

    Returns:
        An object with `make_current()` and `free()`.

    Raises:
        SimulationError: No way works on this machine.
    """
    context = importlib.import_module(f"mujoco.{working_way()}").GLContext(width, height)
    context.make_current()
    return context


@cache
def working_way() -> str:
    """The first way in which this machine draws without a display."""
    asked = os.environ.get("MUJOCO_GL", "").lower().strip()
    failures = []
    for way in (asked,) if asked in WAYS else WAYS:
        failure = _try(way)
        if failure is None:
            return way
        failures.append(f"{way}: {failure}")
    raise SimulationError(
        f"no OpenGL without a display on this machine ({'; '.join(failures)}): nothing can be "
        "drawn. Fix: install a software one (Debian: libegl1 and libgl1-mesa-dri, or libosmesa6), "
        "or leave render_mode out."
    )


def _try(way: str) -> str | None:
    """Why a way fails, or none."""
    environment = {**os.environ, "MUJOCO_GL": way}
    environment.pop("PYOPENGL_PLATFORM", None)
    command = [sys.executable, "-c", PROBE.format(way=way)]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {PROBE_TIMEOUT_S} s"
    if done.returncode == 0:
        return None
    said = done.stderr.strip().splitlines()
    return said[-1] if said else f"exit code {done.returncode}"
