import importlib.metadata
import json
import subprocess
import sys
import tomllib

import pytest
from lab import REPO

from gapo_lab.runs import provenance
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.provenance import Code, Machine, Origin, Provenance
from gapo_lab.utils.machine import gpus


@pytest.fixture
def repo(tmp_path):
    def git(*words):
        subprocess.run(
            ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org", *words],
            check=True,
            capture_output=True,
        )

    git("init", "-q")
    (tmp_path / "a.txt").write_text("one\n")
    git("add", "a.txt")
    git("commit", "-q", "-m", "start")
    return tmp_path


def test_a_clean_checkout(repo):
    found = Provenance(Origin.here(repo), Machine.here())
    code = found.origin.git
    assert len(code.commit) == 40 and (code.dirty, code.diff, code.untracked) == (False, "", ())
    assert found.origin.command == (sys.executable, *sys.argv)
    assert found.machine.packages["torch"] and found.machine.cpus >= 1
    assert Provenance.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_every_package_has_the_name_and_version_that_python_reads(tmp_path, monkeypatch):
    odd = "Metadata-Version: 2.1\nName: odd.One\nVersion: 1!2.0+cpu \nLicense: a\n Version: 3\n\nVersion: 4\n"
    for name, text in {"odd": odd, "nameless": "Version: 1\n"}.items():
        (tmp_path / f"{name}-1.dist-info").mkdir()
        (tmp_path / f"{name}-1.dist-info" / "METADATA").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    found = provenance.packages()
    assert found.pop("odd.One") == "1!2.0+cpu"
    assert all(importlib.metadata.version(name) == version for name, version in list(found.items())[::10])
    assert len(found) == len({d.metadata.get("Name") for d in importlib.metadata.distributions()} - {None, "odd.One"})


def test_a_changed_checkout(repo):
    (repo / "a.txt").write_text("two\n")
    (repo / "new file.txt").write_text("x")
    code = provenance.code_of(repo)
    assert code.dirty and "-one\n+two\n" in code.diff and code.untracked == ("new file.txt",)
    (repo / "a.txt").write_text("x\n" * provenance.MAX_DIFF)
    code = provenance.code_of(repo)
    assert code.diff_cut and len(code.diff) == provenance.MAX_DIFF


def version() -> str:
    """Return the version that pyproject.toml gives the package; `gapo_lab.__version__` is the same."""
    return tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["version"]


def test_no_checkout_no_commit_no_git(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "not a git repository" in provenance.code_of(tmp_path).missing
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert provenance.code_of(tmp_path).missing
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.code_of(tmp_path).to_json() == {
        "missing": "git is not installed",
        "package": f"gapo_lab {version()}",
    }
    assert gpus() == []


def test_installed_inside_another_checkout(repo):
    """A virtual environment in someone's project: its commit is not ours."""
    (repo / ".gitignore").write_text(".venv/\n")
    installed = repo / ".venv" / "lib" / "site-packages"
    installed.mkdir(parents=True)
    (installed / "module.py").write_text("x = 1\n")
    code = provenance.code_of(installed)
    assert set(code.to_json()) == {"missing", "package"}
    assert Provenance(Origin(git=code)).package == f"gapo_lab {version()}"


def test_the_package_is_said_of_older_runs_too_and_only_without_a_commit():
    raw = {"packages": {"gapo-lab": "0.1.0"}, "git": {"missing": "git is not installed"}}
    assert Provenance.from_json(raw).package == "gapo_lab 0.1.0"
    assert Provenance.from_json({**raw, "git": {"commit": "abc"}}).package == Provenance().package == ""


def test_slurm_and_gpus(tmp_path, monkeypatch):
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'NVIDIA H100, 81559 MiB, 570.1'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    found = Machine.here()
    assert found.gpus == ("NVIDIA H100, 81559 MiB, 570.1",) and found.slurm["SLURM_JOB_ID"] == "17"


def test_a_file_of_another_version_is_read(tmp_path):
    """What it lacks is empty, what it has beside is left out; no file is an empty provenance."""
    folder = RunFolder(tmp_path)
    assert folder.provenance() == Provenance()
    (tmp_path / "provenance.json").write_text('{"host": "n1", "new": 1, "git": {"commit": "abc", "branch": "b"}}')
    found = folder.provenance()
    assert (found.machine.host, found.origin.git, found.origin.command) == ("n1", Code(commit="abc"), ())
