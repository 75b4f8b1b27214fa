"""The package as a stranger installs it."""

import email
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(out)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (path,) = out.glob("acclimate-*.whl")
    return zipfile.ZipFile(path)


def requirements(wheel: zipfile.ZipFile) -> list[str]:
    (name,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name)).get_all("Requires-Dist") or []


def test_wheel_holds_our_packages_and_their_data_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    packages = {n.split("/")[0] for n in names if ".dist-info" not in n}
    assert packages == {
        "acclimate_bringup",
        "acclimate_contract",
        "acclimate_control",
        "acclimate_deploy",
        "acclimate_field_tests",
        "acclimate_sim",
        "acclimate_training",
    }
    assert any(n.endswith("report.html.j2") for n in names)
    assert any(n.startswith("acclimate_bringup/config/") and n.endswith(".yaml") for n in names)


def test_a_robot_gets_neither_torch_nor_ros(wheel: zipfile.ZipFile) -> None:
    base = [r for r in requirements(wheel) if "extra ==" not in r]
    names = {re.split(r"[^A-Za-z0-9_-]", r)[0].lower() for r in base}
    assert names == {"numpy", "onnxruntime", "pyyaml", "rich", "rosbags", "tyro"}


def test_torch_is_pinned_exactly(wheel: zipfile.ZipFile) -> None:
    torch = [r for r in requirements(wheel) if r.startswith("torch")]
    assert torch
    assert all(r.startswith("torch==2.13.0") for r in torch)


def test_installed_wheel_lists_its_verbs_without_the_source_tree(
    wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    wheel.extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.path.insert(0, '.');"
         "from acclimate_deploy.command import main; import acclimate_deploy;"
         "print(acclimate_deploy.__file__); sys.exit(main(['--help']))"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert str(tmp_path) in done.stdout
    assert {"inspect", "fly", "train"} <= set(done.stdout.split())
