"""The one command, `acclimate`: finds a verb among the installed packages, loads it, runs it.

Packages register verbs in the entry-point group `acclimate.commands`. A verb is a function of one
frozen dataclass that returns the exit code; its module names the optional packages it needs in
`EXTRA` and `REQUIRES`. Only the module of the verb that runs is imported.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from typing import TypeVar

from acclimate_contract import AcclimateError

GROUP = "acclimate.commands"
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_PIPE_CLOSED = 141  # 128 + SIGPIPE

Verb = Callable[..., int]
_V = TypeVar("_V", bound=Verb)


class CommandError(AcclimateError):
    """The command line names something that is not there."""


def needs(extra: str, *modules: str) -> Callable[[_V], _V]:
    """Mark a verb that needs more than the rest of its module: an extra and its modules."""

    def mark(verb: _V) -> _V:
        verb.__dict__.update(EXTRA=extra, REQUIRES=modules)
        return verb

    return mark


def main(argv: Sequence[str] | None = None) -> int:
    """Run `acclimate`; returns the exit code.

    Args:
        argv: Arguments after the program's name; None takes those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments[0] if arguments else ""
    try:
        return _dispatch(name, arguments[1:])
    except AcclimateError as error:
        prog = "acclimate" if isinstance(error, CommandError) else f"acclimate {name}"
        print(f"{prog}: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print(f"acclimate {name}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`| head`). Without this the interpreter complains at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE_CLOSED
    except OSError as error:
        print(
            f"acclimate {name}: the system refused: {error}. Files are written whole or not at "
            "all, so what was there before still is. Fix: check free disk space and permissions.",
            file=sys.stderr,
        )
        return EXIT_USAGE


def _dispatch(name: str, arguments: list[str]) -> int:
    if not name:
        print(_help(), file=sys.stderr)
        return EXIT_USAGE
    if name in ("-h", "--help", "help"):
        print(_help(), flush=True)
        return 0
    if name == "--version":
        print(f"acclimate {_version()}", flush=True)
        return 0
    verb = _load(name)
    import tyro

    code = tyro.cli(verb, prog=f"acclimate {name}", args=arguments)
    sys.stdout.flush()  # a closed pipe must show here and not at exit
    return int(code or 0)


def _verbs() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP))}


def _load(name: str) -> Verb:
    verbs = _verbs()
    if not verbs:
        raise CommandError(
            "no verb is registered: the packages are importable but not installed. "
            "Fix: `pip install .` in the repository, or `pip install acclimate`."
        )
    if name not in verbs:
        close = get_close_matches(name, verbs, n=1)
        guess = f" Did you mean '{close[0]}'?" if close else ""
        raise CommandError(
            f"there is no verb '{name}'.{guess} The verbs are {', '.join(verbs)}; "
            "`acclimate --help` says what they do."
        )
    try:
        verb = verbs[name].load()
    except (ImportError, AttributeError) as error:
        raise CommandError(
            f"the verb '{name}' cannot be loaded ({error}): its package is missing or broken. "
            "Fix: install acclimate again."
        ) from error
    if missing := _missing(verb):
        raise CommandError(
            f"the verb '{name}' needs {', '.join(missing)}, which is not installed. "
            f"Fix: {_remedy(verb)}"
        )
    return verb


def _requirement(verb: Verb, key: str) -> object:
    """`EXTRA` or `REQUIRES` of the verb, else of its module."""
    return verb.__dict__.get(key, getattr(sys.modules[verb.__module__], key, ()))


def _missing(verb: Verb) -> list[str]:
    requires = _requirement(verb, "REQUIRES")
    return [m for m in requires if not _installed(m)] if isinstance(requires, tuple) else []


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # the package around it is missing, or it is half imported
        return False


def _remedy(verb: Verb) -> str:
    return f"pip install 'acclimate[{_requirement(verb, 'EXTRA')}]'"


def _help() -> str:
    verbs = _verbs()
    width = max(map(len, verbs), default=0)
    lines = [f"  {name:<{width}}  {_summary(entry)}" for name, entry in verbs.items()]
    return "\n".join(
        (
            "usage: acclimate VERB [options]",
            "",
            "Robot policies that adapt to the robot they wake up in.",
            "",
            "verbs:",
            *(lines or ["  none: install the package with `pip install acclimate`"]),
            "",
            "`acclimate VERB --help` lists a verb's options, `acclimate --version` the version.",
        )
    )


def _summary(entry: EntryPoint) -> str:
    """One line on a verb; help must never fail because one package is broken."""
    try:
        verb = entry.load()
        summary = (verb.__doc__ or "").strip().split("\n")[0]
        return f"{summary} (needs {_remedy(verb)})" if _missing(verb) else summary
    except Exception as error:
        return f"(not available here: {type(error).__name__}: {error})"


def _version() -> str:
    try:
        return version("acclimate")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
