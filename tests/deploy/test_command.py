"""The command as a user meets it: real processes, exit codes, what goes to which stream."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from policy_file import SIGNALS, Recurrence, build

from acclimate_contract import AcclimateError, GoldenSequence
from acclimate_deploy import command, commands

ACCLIMATE = Path(sys.executable).with_name("acclimate")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ACCLIMATE, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("policy") / "policy.onnx")


@pytest.fixture(scope="module")
def changed_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    golden = Recurrence().golden()
    shifted = GoldenSequence(
        inputs=golden.inputs, actions=golden.actions + np.float32(1e-3), resets=golden.resets
    )
    return build(tmp_path_factory.mktemp("changed") / "policy.onnx", golden=shifted)


def test_help_lists_every_verb_with_a_sentence() -> None:
    result = run("--help")
    assert result.returncode == 0
    assert result.stderr == ""
    listed = dict(
        line.split(maxsplit=1) for line in result.stdout.splitlines() if line.startswith("  ")
    )
    assert {"inspect", "selftest", "report"} <= set(listed)
    assert set(listed) == {entry.name for entry in entry_points(group=command.GROUP)}
    assert "Prove that a policy computes" in listed["selftest"]


@pytest.mark.parametrize("flag", ["-h", "help"])
def test_other_ways_to_ask_for_help(flag: str) -> None:
    assert run(flag).stdout.startswith("usage: acclimate VERB")


def test_no_verb_shows_the_help_and_fails() -> None:
    result = run()
    assert result.returncode == 2
    assert result.stderr.startswith("usage: acclimate VERB")
    assert result.stdout == ""


def test_version() -> None:
    result = run("--version")
    assert result.returncode == 0
    assert result.stdout.startswith("acclimate 0.")


def test_unknown_verb_names_the_closest() -> None:
    result = run("inspct", "policy.onnx")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "there is no verb 'inspct'. Did you mean 'inspect'?" in result.stderr


def test_unknown_verb_far_from_any() -> None:
    result = run("xyzzy")
    assert result.returncode == 2
    assert "Did you mean" not in result.stderr
    assert "selftest" in result.stderr


def test_inspect_shows_what_a_person_wants_to_know(policy: Path) -> None:
    result = run("inspect", policy)
    assert result.returncode == 0, result.stderr
    text = " ".join(result.stdout.split())
    for expected in (
        "policy tiny",
        "quadrotor",
        "Apache-2.0",
        "100 Hz",
        "50 to 1000 Hz",
        "front_right, back_right, back_left, front_left",
        "position_error (3,) m world",
        "angular_velocity (3,) rad/s body",
        "name test robots",
        "rise_time uniform, low 0.03, high 0.1 s. Motor time constant.",
        "revision 0123abc",
        "settled.within_0.2_m 0.93",
        "memory (4,)",
        "limit 1e-05",
        f"{policy.stat().st_size:,} bytes",
    ):
        assert expected in text, expected


def test_inspect_as_json(policy: Path) -> None:
    result = run("inspect", policy, "--json")
    assert result.returncode == 0
    card = json.loads(result.stdout)
    assert card["name"] == "tiny"
    assert len(card["sha256"]) == 64
    assert 0.0 <= card["golden"]["difference"] <= 1e-5
    assert card["golden"]["resets"] == [7]
    assert card["signals"][0]["name"] == "position_error"
    assert card["evaluation"]["lost"] == 0.004


def test_a_policy_that_looks_ahead_is_shown_and_proven(tmp_path: Path) -> None:
    path = build(tmp_path / "policy.onnx", (*SIGNALS, "reference_preview"))
    shown = run("inspect", path)
    assert "reference_preview (4, 3) m world" in " ".join(shown.stdout.split())
    assert run("selftest", path).returncode == 0


@pytest.mark.parametrize("verb", ["inspect", "selftest"])
def test_a_wrong_file_is_one_line_and_exit_code_2(verb: str, tmp_path: Path) -> None:
    result = run(verb, tmp_path / "nothing.onnx")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"acclimate {verb}: policy file '")
    assert "does not exist" in result.stderr
    assert result.stderr.count("\n") == 1


def test_inspect_refuses_a_changed_policy(changed_policy: Path) -> None:
    result = run("inspect", changed_policy)
    assert result.returncode == 2
    assert "fails its golden sequence" in result.stderr
    assert result.stdout == ""


def test_selftest_proves_a_policy(policy: Path) -> None:
    result = run("selftest", policy, "--steps", "100")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("holds") == 7
    assert "FAILS" not in result.stdout
    assert "us (median)" in result.stdout


def test_selftest_fails_a_changed_policy(changed_policy: Path) -> None:
    result = run("selftest", changed_policy, "--steps", "100")
    assert result.returncode == 1
    assert "FAILS: do not fly it" in result.stdout
    assert "0.001" in result.stdout


@pytest.mark.parametrize(("name", "code"), [("policy", 0), ("changed_policy", 1)])
def test_selftest_as_json(name: str, code: int, request: pytest.FixtureRequest) -> None:
    result = run("selftest", request.getfixturevalue(name), "--steps", "10", "--json")
    assert result.returncode == code
    record = json.loads(result.stdout)
    assert record["passed"] is (code == 0)
    assert record["checks"][0]["passed"] is (code == 0)


def test_impossible_option_is_one_line(policy: Path) -> None:
    result = run("selftest", policy, "--steps", "0")
    assert result.returncode == 2
    assert result.stderr.startswith("acclimate selftest: 0 steps cannot be timed")


@pytest.mark.parametrize("arguments", [["inspect"], ["inspect", "a", "--colour"]])
def test_wrong_usage_of_a_verb(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert "acclimate inspect --help" in result.stderr


def test_help_of_a_verb(policy: Path) -> None:
    result = run("selftest", "--help")
    assert result.returncode == 0
    assert "--steps INT" in result.stdout
    assert "Steps of the control loop to time." in result.stdout


def test_a_reader_that_goes_away_is_no_crash(policy: Path) -> None:
    process = subprocess.Popen(
        [ACCLIMATE, "inspect", str(policy), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == command.EXIT_PIPE_CLOSED


def test_report_is_a_thin_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    class Summary:
        def print_table(self) -> None:
            calls.append("table")

    class Module:
        @staticmethod
        def write_report(bag_dir: Path, out_html: Path) -> Summary:
            calls.append((bag_dir, out_html))
            return Summary()

    monkeypatch.setitem(sys.modules, "acclimate_deploy.report", Module)
    assert commands.report(commands.ReportCfg(bag=tmp_path / "bag")) == 0
    assert calls == [(tmp_path / "bag", tmp_path / "report.html"), "table"]


# Below: verbs of packages that are broken or incomplete, registered for the test only.


@dataclass(frozen=True, kw_only=True)
class NothingCfg:
    pass


def interrupted(cfg: NothingCfg) -> int:
    """Wait."""
    raise KeyboardInterrupt


def refused(cfg: NothingCfg) -> int:
    """Refuse."""
    raise AcclimateError("what, why, fix")


@command.needs("wings", "acclimate_wings.left", "json")
def winged(cfg: NothingCfg) -> int:
    """Fly."""
    raise AssertionError("must not run without its packages")


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def register(**verbs: str) -> None:
        entries = [EntryPoint(n, v, command.GROUP) for n, v in verbs.items()]
        monkeypatch.setattr(command, "entry_points", lambda group: entries)

    monkeypatch.setitem(sys.modules, "verbs_of_this_test", sys.modules[__name__])
    return register


def test_interrupt_is_exit_code_130(
    register: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    register(wait="verbs_of_this_test:interrupted")
    assert command.main(["wait"]) == 130
    assert capsys.readouterr().err == "acclimate wait: interrupted\n"


def test_our_errors_are_one_line(
    register: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    register(refuse="verbs_of_this_test:refused")
    assert command.main(["refuse"]) == 2
    assert capsys.readouterr().err == "acclimate refuse: what, why, fix\n"


def test_missing_extra_is_named(
    register: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    register(fly="verbs_of_this_test:winged")
    assert command.main(["fly"]) == 2
    assert (
        "the verb 'fly' needs acclimate_wings.left, which is not installed. "
        "Fix: pip install 'acclimate[wings]'" in capsys.readouterr().err
    )
    assert command.main(["--help"]) == 0
    assert "fly  Fly. (needs pip install 'acclimate[wings]')" in capsys.readouterr().out


def test_missing_extra_of_a_whole_module(
    register: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A package's `commands.py` says once what all its verbs need."""
    module = sys.modules[__name__]
    monkeypatch.setattr(module, "EXTRA", "sim", raising=False)
    monkeypatch.setattr(module, "REQUIRES", ("torch",), raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, refused.__module__, module)
    register(robots="verbs_of_this_test:refused")
    assert command.main(["robots"]) == 2
    assert "needs torch, which is not installed" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["no_such_package.commands:fly", "verbs_of_this_test:nothing"])
def test_a_broken_package_spoils_neither_help_nor_other_verbs(
    target: str, register: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    register(broken=target, refuse="verbs_of_this_test:refused")
    assert command.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert "broken  (not available here: " in out
    assert "refuse  Refuse." in out
    assert command.main(["broken"]) == 2
    assert "the verb 'broken' cannot be loaded" in capsys.readouterr().err


def test_nothing_registered(
    register: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    register()
    assert command.main(["--help"]) == 0
    assert "none: install the package" in capsys.readouterr().out
    assert command.main(["fly"]) == 2
    assert "no verb is registered" in capsys.readouterr().err
