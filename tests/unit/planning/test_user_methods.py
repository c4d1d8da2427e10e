"""`algo=FILE.py:FUNCTION` and methods of other packages: read, checked, in the key by content, replayed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from lab import REPO

from analysis.replay.estimators import methods_of
from gapo_lab import method_registry
from gapo_lab.cli.runs import main
from gapo_lab.config.compose import compose_run
from gapo_lab.config.fast_compose import Composer
from gapo_lab.errors import UserError
from gapo_lab.planning import python_imports, user_files
from gapo_lab.planning.spec import make_spec
from gapo_lab.planning.validation import check
from gapo_lab.training.user_methods import user_methods

MINE = """
from parts import centred

SETTINGS = {"k": "(0, inf)"}

def halved(rewards, groups, k: float = 0.5, tau: float = 0.5, *, way: str = "mean"):
    return k * centred(rewards, groups)

def ordered(rewards, groups, order):
    return centred(rewards, groups) / (1 + order)

def loud(log_prob, old_log_prob, advantages, mask, low, high):
    return -(log_prob * advantages * mask).sum(1)

def grpo(rewards, groups):
    return rewards

def dapo(rewards, groups):
    return rewards
"""
PARTS = """
from gapo_lab.methods.groups import per_group

def centred(rewards, groups):
    return per_group(rewards, groups, lambda r: r - r.mean(dim=1, keepdim=True))
"""


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "parts.py").write_text(PARTS)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("parts", None)
    sys.path[:] = [place for place in sys.path if place != str(tmp_path)]


SIGNS = """
def alone(rewards): return rewards
def asks(rewards, groups, z, k=1, *, y, draw): return rewards
def named(r, groups): return r
def nothing(): return 0
def short(log_prob, old_log_prob): return log_prob
def all_of_them(rewards, *others, **more): return rewards
"""


def key_of(*words: str) -> str:
    config = compose_run(words)
    check(config)
    return make_spec(config).key


@pytest.mark.slow  # a search is planned
def test_a_search_takes_a_setting_of_ones_own_method(project, capsys):
    words = ["+sweep=search", "scale=rehearsal", "algo=mine.py:halved", "algorithm.halved.k=interval(0.1,2)"]
    assert main(["plan", *words, "search.trials=4"]) == 0
    said = capsys.readouterr().out
    assert "over algorithm.halved.k from 0.1 to 2" in said and "halved" in said
    assert main(["plan", *words[:3], "algorithm.halved.k=interval(-1,2)"]) == 2
    assert "algorithm.halved.k=-1" in capsys.readouterr().err


def test_the_settings_of_a_function_are_keys_of_the_run(project):
    config = compose_run(["algo=mine.py:halved", "tau=0.2", "algorithm.halved.k=2"])
    check(config)
    assert config.algo.name == config.algorithm.adv_estimator == "halved"
    assert dict(config.algorithm.halved) == {"k": 2, "tau": 0.2, "way": "mean"}
    assert config.actor_rollout_ref.actor.use_kl_loss  # GRPO's objective
    spec = make_spec(config)
    assert spec.algo == "halved" and spec.tau == 0.2 and spec.science["algorithm.halved.k"] == 2
    fast = Composer().compose(["algo=mine.py:halved", "tau=0.2", "algorithm.halved.k=2"])
    assert fast.resolved["algorithm.halved.tau"] == 0.2 and fast.resolved["algo.path"] == "mine.py"


def test_a_loss_of_ones_own_has_grpos_advantage(project):
    config = compose_run(["algo=mine.py:loud"])
    check(config)
    assert config.algorithm.adv_estimator == "exact_grpo" and config.algo.name == "loud"
    assert config.actor_rollout_ref.actor.policy_loss.loss_mode == "loud"


@pytest.mark.slow  # words that name files of the user are composed anew each time
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["algo=no.py:f"], "algo.path=no.py: no such file"),
        (["algo=mine.py"], "algo.path=mine.py: no function mine in it. Name one of it: algo=mine.py:FUNCTION"),
        (["algo=mine.py:grpo"], "algo.path=mine.py: grpo is a method of verl's or of ours. Rename the function"),
        (["algo=mine.py:dapo"], "algo.name=dapo: is a method that comes with GAPO Lab. Give it another name"),
        (["algo=mine.py:halved", "algorithm.halved.k=0"], "algorithm.halved.k=0: must be a number in (0, inf)"),
        (
            ["algo=mine.py:halved", "+algorithm.halved.x=0"],
            "algorithm.halved.x: no such setting; there are k, tau, way",
        ),
        (
            ["algo=mine.py:halved", "algorithm.adv_estimator=loud", "~algorithm.halved"],
            "Its first parameter must be rewards",
        ),
        (["algo=pkg.nowhere:f"], "no module pkg in this folder"),
        (["algo=signs.py:alone"], "alone() takes too few parameters. It is called with rewards, groups"),
        (["algo=signs.py:asks"], "asks() needs z, y, and nothing gives it. Give it a default value"),
        (["algo=signs.py:named"], "named() has r as its first parameter. Call it rewards"),
        (["algo=signs.py:nothing"], "nothing() has nothing as its first parameter"),
        (
            ["algo=signs.py:short"],
            "short() takes too few parameters. It is called with log_prob, old_log_prob, advantages",
        ),
        (["algo=wrong.py:f"], "algo.path=wrong.py, line 1: is not Python"),
        (["algo=mine.py:halved", "algo.label=3"], "algo.label=3: must be a text"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_before_anything_starts(project, words, says):
    (project / "wrong.py").write_text("def f(:\n")
    (project / "signs.py").write_text(SIGNS)
    with pytest.raises(UserError) as told:
        check(compose_run(words))
    assert says in str(told.value)
    assert sum(line.startswith("algo") for line in str(told.value).splitlines()) == 1


def test_a_function_may_take_whatever_it_is_given(project):
    (project / "signs.py").write_text(SIGNS)
    check(compose_run(["algo=signs.py:all_of_them"]))


@pytest.mark.slow  # words that name files of the user are composed anew each time
def test_its_text_and_what_it_imports_are_in_the_key_and_its_place_is_not(project):
    before = key_of("algo=mine.py:halved")
    (project / "other").mkdir()
    for name in ("mine.py", "parts.py"):
        shutil.copy(project / name, project / "other" / name)
    assert key_of("algo=other/mine.py:halved") == before
    (project / "other" / "parts.py").write_text(PARTS + "\nx = 1\n")
    assert key_of("algo=other/mine.py:halved") != before
    assert key_of("algo=mine.py:ordered") != before


def test_the_job_is_told_of_the_copy(project, tmp_path):
    config = compose_run(["algo=mine.py:halved"])
    copied = user_files.copy({"algo.path": config.algo.path}, tmp_path / "run")
    config.algo.path = copied["algo.path"]
    assert str(tmp_path / "run" / "files" / "algo" / "mine.py") in user_methods(config)
    assert (tmp_path / "run" / "files" / "imported" / "parts.py").is_file()
    assert user_methods(compose_run(["algo=grpo"])) == ""


def test_a_yaml_of_ones_own_names_the_file(project, capsys):
    example = REPO / "examples" / "own-project"
    shutil.copytree(example, project / "copy")
    config = project / "conf" / "algo"
    shutil.copytree(example / "conf" / "algo", config)
    shutil.copy(example / "halfway.py", project)
    assert main(["plan", "algo=halfway,halfway.py:halfway", "seed=0"]) == 0
    # the same function with the same settings is the same run
    assert "1 run in 1 cell" in capsys.readouterr().out
    assert make_spec(compose_run(["algo=halfway"])).as_dict()["label"] == "Halfway"


@pytest.mark.slow  # words that name files of the user are composed anew each time
def test_a_package_names_its_methods_by_entry_points(project, monkeypatch):
    package, info = project / "site" / "robust", project / "site" / "robust-1.0.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").write_text("")
    (package / "few.py").write_text(
        "def trimmed(rewards, groups, *, share: float = 0.1):\n    return rewards * share\n"
    )
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: robust\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gapo_lab.methods]\nrobust_trim = robust.few:trimmed\n")
    monkeypatch.syspath_prepend(str(project / "site"))
    config = compose_run(["algo=robust_trim", "algorithm.trimmed.share=0.2"])
    check(config)
    assert (config.algo.name, config.algo.path) == ("robust_trim", "pkg://robust.few")
    before = key_of("algo=robust_trim")
    # as the package of an environment: read, and not copied
    monkeypatch.setattr(python_imports, "_installed_folders", lambda: (project / "site",))
    python_imports.is_installed_module.cache_clear()
    found = user_files.find("algo.path", "pkg://robust.few")
    assert set(found.installed) == {"robust/__init__.py", "robust/few.py"} and not found.imported
    installed = key_of("algo=robust_trim")
    (package / "few.py").write_text("def trimmed(rewards, groups, *, share: float = 0.1):\n    return rewards\n")
    assert key_of("algo=robust_trim") != installed
    monkeypatch.undo()
    python_imports.is_installed_module.cache_clear()
    assert before == installed


def test_replay_takes_it_and_refuses_what_needs_more_than_rewards(project):
    (method,) = methods_of(["mine.py:halved"], ["algorithm.halved.k=2"])
    found = method.estimate(torch.tensor([0.0, 1.0]), torch.tensor([0, 0]))
    assert method.name == "halved" and np.allclose(found, [-1, 1])
    with pytest.raises(UserError, match=r"ordered\(\) asks for order. Replay has only rewards"):
        methods_of(["mine.py:ordered"])


def test_settings_without_a_literal_default_are_the_functions_own(tmp_path):
    path = tmp_path / "m.py"
    path.write_text("N = 1\ndef m(rewards, groups, a=N, b=2, *, c=-3, draw=0):\n    return rewards\n")
    found = method_registry.read(path, "m")
    assert found.defaults == {"b": 2, "c": -3} and found.asks == ("draw",)
