"""Compile C++ once per machine and call it."""

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from torch import Tensor

from acclimate_contract import AcclimateError

FLAGS = (
    "-O3",
    "-march=native",
    "-std=c++17",
    "-shared",
    "-fPIC",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
)
WITHOUT = "train with --no-compile; simulate in the engine 'analytic'"


class CompilerError(AcclimateError, RuntimeError):
    """There is no C++ compiler, it refused the source, or its result could not be kept."""


def find_compiler() -> str | None:
    """The C++ compiler, $CXX first."""
    return shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")


def build(*sources: str) -> list[ctypes.CDLL]:
    """Compile sources side by side and load them; each is compiled only once per machine.

    Raises:
        CompilerError: There is no compiler, or it refused a source.
    """
    with ThreadPoolExecutor(len(sources)) as pool:
        return [ctypes.CDLL(str(path)) for path in pool.map(_library, sources)]


def pointer(tensor: Tensor) -> ctypes.c_void_p:
    """Address of a contiguous tensor's numbers."""
    assert tensor.is_contiguous()
    return ctypes.c_void_p(tensor.data_ptr())


def _library(source: str) -> Path:
    compiler = find_compiler()
    if compiler is None:
        raise CompilerError(f"no C++ compiler found. Fix: install g++, or {WITHOUT}.")
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    key = "\n".join((source, *FLAGS, version, _processor()))
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "acclimate"
    library = cache / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.so"
    if not library.exists():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            _compile(compiler, source, library)
        except OSError as error:
            raise CompilerError(
                f"cannot keep compiled steps in {cache}: {error}. "
                "Fix: set XDG_CACHE_HOME to a folder with space that can be written."
            ) from error
    return library


def _processor() -> str:
    """What -march=native depends on: a cache may be shared by several machines."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _compile(compiler: str, source: str, library: Path) -> None:
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        text, built = Path(folder) / "step.cpp", Path(folder) / "step.so"
        text.write_text(source)
        command = [compiler, *FLAGS, str(text), "-o", str(built)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise CompilerError(
                f"{compiler} refused a generated step: {done.stderr[:500]}. "
                f"Fix: use another compiler (CXX=...), or {WITHOUT}."
            )
        built.replace(library)  # whoever else builds the same sees all of it or nothing
