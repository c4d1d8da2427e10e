"""The wheel, installed into an environment of its own, works from an empty folder without the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from lab import REPO

UV = Path(sys.executable).with_name("uv")


def run(*words: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess:
    """Run a command as a user of the wheel would: nothing of the checkout is on the path."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "GAPO_LAB_", "MLFLOW_"))}
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**clean, "COLUMNS": "200", **env},
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=REPO)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def scripts(wheel, tmp_path_factory) -> Path:
    """The folder of programs of an environment that holds the wheel, and sees the packages of this one."""
    place = tmp_path_factory.mktemp("venv") / "venv"
    made = run(UV, "venv", "--quiet", "--python", sys.executable, place, cwd=place.parent)
    assert made.returncode == 0, made.stderr
    python = place / "bin" / "python"
    done = run(UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel, cwd=place.parent)
    assert done.returncode == 0, done.stderr
    # a path that a .pth names is searched, but its own .pth files (the editable checkout) are not read
    (site,) = place.glob("lib/python*/site-packages")
    (site / "outer.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Path:
    """The folder that a user works in."""
    return tmp_path_factory.mktemp("empty")


def test_what_is_in_it(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"gapo_lab", "analysis"}
    bundled = "gapo_lab/_bundled"
    for needed in ("conf/config.yaml", "conf/algo/grpo.yaml", "sweeps/table2.yaml", "slurm/example.yaml"):
        assert f"{bundled}/{needed}" in names
    for folder in ("conf", "sweeps", "slurm"):
        shipped = {f"{bundled}/{path.relative_to(REPO)}" for path in (REPO / folder).rglob("*.yaml")}
        assert shipped <= set(names)
    assert {"gapo_lab/py.typed", "gapo_lab/models/nano/checkpoint/model.safetensors"} <= set(names)


def test_it_is_the_wheel_that_is_used(scripts, empty):
    done = run(scripts / "python", "-c", "import gapo_lab, analysis; print(gapo_lab.__file__)", cwd=empty)
    assert done.stdout.startswith(str(scripts.parent)), done.stdout + done.stderr


def test_a_preset_sweep_is_planned(scripts, empty):
    words = ("+sweep=table2", "cluster=slurm", "data=micro", "check_disk=false")
    done = run(scripts / "gapo-lab", "plan", *words, cwd=empty)
    assert done.returncode == 0 and "315 runs" in done.stdout, done.stdout + done.stderr


def test_a_run_key_is_that_of_the_checkout(scripts, empty):
    code = (
        "from gapo_lab.config.compose import compose_run; from gapo_lab.planning.spec import make_spec;"
        "print(make_spec(compose_run([])).key)"
    )
    assert run(scripts / "python", "-c", code, cwd=empty).stdout == "93d03f0fba\n"


def test_a_sweep_its_status_and_its_report(scripts, empty):
    lab = scripts / "gapo-lab"
    words = ("-m", "scale=rehearsal", "algo=grpo,gapo_grpo", "seed=0,1", "study=try")
    done = run(lab, "run", *words, cwd=empty)
    assert done.returncode == 0, done.stdout + done.stderr
    status = run(lab, "status", "try", cwd=empty)
    assert "4 runs in 2 cells: 4 finished" in status.stdout, status.stdout + status.stderr
    report = run(lab, "report", "try", cwd=empty)
    assert report.returncode == 0, report.stdout + report.stderr
    assert (empty / "reports" / "try" / "report.html").exists()


def test_a_project_of_ones_own(scripts, tmp_path):
    """`examples/own-project`: a method, a reward, rows and a sweep, without the checkout."""
    mine = tmp_path / "mine"
    shutil.copytree(REPO / "examples" / "own-project", mine)
    lab = scripts / "gapo-lab"
    plan = run(lab, "plan", "+sweep=compare", cwd=mine)
    assert plan.returncode == 0 and "15 runs in 3 cells" in plan.stdout, plan.stdout + plan.stderr
    words = ("+sweep=compare", "algo=grpo,halfway", "seed=0", "scale=rehearsal", "tracking=later")
    done = run(lab, "run", "-m", *words, cwd=mine)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in mine.glob("runs/*/files/algo/*")) == ["halfway.py"]
    report = run(lab, "report", "compare", cwd=mine)
    assert report.returncode == 0 and "Halfway" in report.stdout, report.stdout + report.stderr
    (mine / "rewards.csv").write_text("uid,reward\n" + "".join(f"a,{r}\n" for r in (0.0, 0.1, 0.2, 0.9)))
    replay = run(lab, "replay", "rewards.csv", "algo=grpo,halfway", cwd=mine)
    assert replay.returncode == 0 and "halfway" in replay.stdout, replay.stdout + replay.stderr


def test_the_programs_have_their_help(scripts, empty):
    for words in ([], ["run"], ["data"], ["report"], ["page"], ["probe"], ["replay"], ["check"]):
        done = run(scripts / "gapo-lab", *words, "--help", cwd=empty)
        assert done.returncode == 0 and done.stdout, (words, done.stderr)
    done = run(scripts / "gapo-lab", "run", "algo=grpoo", cwd=empty)
    assert done.returncode == 2 and "did you mean grpo" in done.stderr
