"""`setup.sh` in a folder of its own: what it prints, with the real uv and one little wheel, without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from lab import REPO

PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "tiny"
version = "1"
"""
# What pip and uv ask of a build backend for an editable installation: here a finished wheel.
BACKEND = """
def build_editable(folder, config_settings=None, metadata_directory=None):
    import shutil
    return shutil.copy("wheels/tiny-1-py3-none-any.whl", folder).rpartition("/")[2]
"""


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A checkout with set-up script and a lock of one package, and a .venv that has nothing but uv."""
    uv = Path(sys.prefix, "bin", "uv")
    if not uv.exists():
        pytest.skip("this environment was not made by setup.sh: it has no uv")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / ".venv"], check=True)
    (tmp_path / ".venv/bin/uv").symlink_to(uv)
    (tmp_path / "setup.sh").write_text((REPO / "setup.sh").read_text())
    (tmp_path / "requirements.lock").write_text("little==1\n")
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "backend.py").write_text(BACKEND)
    (tmp_path / "wheels").mkdir()
    for name in ("little", "tiny"):
        wheel(tmp_path / "wheels", name)
    return tmp_path


def wheel(folder: Path, name: str) -> None:
    info = f"{name}-1.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", "here = True\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


def set_up(checkout: Path) -> subprocess.CompletedProcess:
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
        "UV_OFFLINE": "1",
        "UV_FIND_LINKS": str(checkout / "wheels"),
    }
    return subprocess.run(
        ["bash", checkout / "setup.sh"], env=env, capture_output=True, text=True, check=False, timeout=300
    )


def test_one_line_a_phase_with_its_time_and_no_package_names(checkout):
    done = set_up(checkout)
    assert done.returncode == 0, done.stderr
    lines = [re.sub(r" *\.* \d+ s$", " TIME", line) for line in done.stdout.splitlines()]
    assert lines == [
        "install 1 packages TIME",
        "install gapo_lab from this folder TIME",
        "compile bytecode TIME",
        "set up in TIME",
    ]
    subprocess.run([checkout / ".venv/bin/python", "-c", "import little, tiny"], check=True)


def test_the_error_of_a_phase_is_shown_whole_and_nothing_is_done_after_it(checkout):
    (checkout / "requirements.lock").write_text("little==2\n")
    done = set_up(checkout)
    assert done.returncode != 0
    assert re.fullmatch(r"install 1 packages +failed after \d+ s\n", done.stdout)
    assert "little==2" in done.stderr and "unsatisfiable" in done.stderr
    assert "setup: it could not install 1 packages, see above." in done.stderr
