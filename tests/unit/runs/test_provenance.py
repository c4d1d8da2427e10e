import json
import subprocess
import sys

import pytest

from gapo_lab.runs import provenance
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
    found = provenance.collect(repo)
    assert len(found["git"]["commit"]) == 40
    assert (found["git"]["dirty"], found["git"]["diff"], found["git"]["untracked"]) == (False, "", [])
    assert found["packages"]["torch"] and found["cpus"] >= 1 and found["command"] == [sys.executable, *sys.argv]
    assert json.loads(json.dumps(found)) == found


def test_a_changed_checkout(repo):
    (repo / "a.txt").write_text("two\n")
    (repo / "new file.txt").write_text("x")
    git = provenance.git(repo)
    assert git["dirty"] and "-one\n+two\n" in git["diff"] and git["untracked"] == ["new file.txt"]
    (repo / "a.txt").write_text("x\n" * provenance.MAX_DIFF)
    git = provenance.git(repo)
    assert git["diff_cut"] and len(git["diff"]) == provenance.MAX_DIFF


def test_no_checkout_no_commit_no_git(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "not a git repository" in provenance.git(tmp_path)["missing"]
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert provenance.git(tmp_path)["missing"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.git(tmp_path) == {"missing": "git is not installed"}
    assert gpus() == []


def test_installed_inside_another_checkout(repo):
    """A virtual environment in someone's project: its commit is not ours."""
    (repo / ".gitignore").write_text(".venv/\n")
    installed = repo / ".venv" / "lib" / "site-packages"
    installed.mkdir(parents=True)
    (installed / "module.py").write_text("x = 1\n")
    assert set(provenance.git(installed)) == {"missing"}


def test_slurm_and_gpus(tmp_path, monkeypatch):
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'NVIDIA H100, 81559 MiB, 570.1'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    found = provenance.collect(tmp_path)
    assert found["gpus"] == ["NVIDIA H100, 81559 MiB, 570.1"] and found["slurm"]["SLURM_JOB_ID"] == "17"
