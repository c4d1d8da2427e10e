"""A configuration folder of one's own: the same for one run, a sweep, a plan, a search and a retry."""

from __future__ import annotations

import pytest

from gapo_lab.cli.runs import main
from gapo_lab.config import search_path
from gapo_lab.config.compose import compose_run
from gapo_lab.config.fast_compose import Composer
from gapo_lab.errors import UserError
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.run_root import find

ALGO = """# @package _global_
defaults:
  - base/grpo
  - _self_
algo:
  name: mine
algorithm:
  adv_estimator: exact_grpo
  exact_grpo:
    norm_by_std: false
"""
SWEEP = """# @package _global_
study: pair
scale:
  name: rehearsal
hydra:
  sweeper:
    params:
      algo: mine,grpo
      seed: 0
"""
SITE = "defaults:\n  - slurm\n  - _self_\npartition: somewhere\n"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with a method and a sweep; the working folder has neither."""
    for name, text in (("algo/mine", ALGO), ("sweep/pair", SWEEP), ("cluster/site", SITE)):
        path = tmp_path / "own" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "own"
    search_path.use([])


@pytest.fixture
def working_folder(own, tmp_path):
    """The same files as ./conf, ./sweeps and ./slurm."""
    (tmp_path / "conf").mkdir()
    for old, new in (("algo", "conf/algo"), ("sweep", "sweeps"), ("cluster", "slurm")):
        (own / old).rename(tmp_path / new)
    return tmp_path


def flag(own) -> list[str]:
    return ["--config-dir", str(own)]


@pytest.mark.slow
def test_one_run_and_what_repeats_it(own, lab):
    done = lab.run(*flag(own), "algo=mine", "scale=rehearsal", tiny=False)
    assert done.returncode == 0, done.stderr
    spec = lab.folder().spec
    assert spec["algo"] == "mine" and f"hydra.searchpath=['file://{own}']" in spec["overrides"]


@pytest.mark.slow
def test_a_sweep_and_its_retry(own, lab, monkeypatch):
    words = ("-m", "+sweep=pair", "scale=rehearsal", f"hydra.searchpath=[{own}]")
    done = lab.run(*words, tiny=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {folder.spec["algo"]: folder for folder in find(lab.cwd / "runs")}
    assert set(found) == {"mine", "grpo"}
    # without the folder on the command line: the run remembers it
    mine: RunFolder = found["mine"]
    (mine.path / "summary.json").unlink()
    mine.write_status(state="failed", message="on purpose")
    search_path.use([])
    assert main(["retry", mine.key]) == 0
    assert mine.is_finished


@pytest.mark.parametrize("how", ["--config-dir", "hydra.searchpath"])
def test_a_plan(own, capsys, how):
    named = flag(own) if how == "--config-dir" else [f"hydra.searchpath=[{own}]"]
    assert main(["plan", *named, "+sweep=pair", "scale=rehearsal", "cluster=site"]) == 0
    said = capsys.readouterr().out
    assert "2 runs" in said and "mine" in said


@pytest.mark.slow
def test_a_search(own, capsys):
    words = ["+sweep=search", "study=s", "scale=rehearsal", "algo=mine,grpo"]
    assert main(["plan", *flag(own), *words]) == 0
    assert "algo in mine, grpo" in capsys.readouterr().out


def test_the_working_folder(working_folder, capsys):
    assert compose_run(["algo=mine", "cluster=site"]).cluster.partition == "somewhere"
    assert Composer().compose(["algo=mine", "cluster=site"]).resolved["cluster.partition"] == "somewhere"
    assert main(["plan", "+sweep=pair", "scale=rehearsal"]) == 0
    assert "2 runs" in capsys.readouterr().out


@pytest.mark.slow
def test_one_run_in_the_working_folder(working_folder, lab):
    done = lab.run("algo=mine", "scale=rehearsal", tiny=False)
    assert done.returncode == 0, done.stderr
    assert lab.folder().spec["algo"] == "mine"


@pytest.mark.parametrize("compose", [compose_run, lambda words: Composer().compose(words)])
def test_a_file_that_a_shipped_one_would_hide_is_refused(working_folder, compose):
    (working_folder / "conf" / "algo" / "grpo.yaml").write_text(ALGO)
    with pytest.raises(UserError, match=r"algo=grpo: .*conf/algo/grpo.yaml has the name of a file that comes with"):
        compose(["algo=grpo"])
    compose(["algo=dapo"])


@pytest.mark.parametrize("words", [["--config-dir", "gone"], ["hydra.searchpath=[gone]"]])
def test_a_folder_that_is_not_there(own, capsys, words):
    assert main(["plan", *words, "algo=grpo"]) == 2
    assert "gone: no such folder. Name one that holds config groups" in capsys.readouterr().err


@pytest.mark.slow
def test_one_run_says_that_the_folder_is_not_there(own, lab):
    done = lab.run("--config-dir", "gone", tiny=False)
    assert done.returncode == 2 and "no such folder" in done.stderr and "Traceback" not in done.stderr
