"""A user's own files: found with what they import, named by content, copied for the job."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gapo_lab.cli.runs import main
from gapo_lab.config.fast_compose import Composer
from gapo_lab.errors import UserError
from gapo_lab.planning import user_files
from gapo_lab.planning.plan import draft
from gapo_lab.planning.spec import spec_of
from gapo_lab.runs.folder import RunFolder
from gapo_lab.utils.import_path import importing_from

REWARD = "reward.custom_reward_function.path"


@pytest.fixture(scope="module")
def key_of():
    composer = Composer()

    def key(*overrides: str) -> str:
        found = composer.compose(overrides)
        return spec_of(found.written, found.resolved).key

    return key


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A reward that imports a module and a package of its folder, and one of Python's own."""
    folder = tmp_path / "project"
    (folder / "parts").mkdir(parents=True)
    (folder / "mine.py").write_text(
        "import json\nimport scores\nfrom parts.deep import one\n\ndef f(*a, **k):\n    return one\n"
    )
    (folder / "scores.py").write_text("import other\n")
    (folder / "other.py").write_text("import mine\n")
    (folder / "unread.py").write_text("this is not read, and is no Python\n")
    (folder / "parts" / "__init__.py").write_text("")
    (folder / "parts" / "deep.py").write_text("from . import __name__\none = 1.0\n")
    return folder


def test_what_a_file_imports_from_its_own_folder_belongs_to_it(project):
    found = user_files.find(REWARD, str(project / "mine.py"))
    assert set(found.imported) == {"scores.py", "other.py", "mine.py", "parts/__init__.py", "parts/deep.py"}


@pytest.mark.parametrize("changed", ["mine.py", "other.py", "parts/deep.py"])
def test_an_edit_is_another_run_and_a_move_is_not(project, key_of, changed):
    word = f"{REWARD}={project / 'mine.py'}"
    before = key_of(word)
    assert before != key_of()
    there = project.rename(project.parent / "moved")
    word = f"{REWARD}={there / 'mine.py'}"
    assert key_of(word) == before
    (there / "unread.py").write_text("another")
    assert key_of(word) == before
    with open(there / changed, "a") as file:
        file.write("two = 2\n")
    assert key_of(word) != before


def test_the_job_runs_the_copy(project, tmp_path):
    run = tmp_path / "runs" / "key"
    settings = user_files.copy({REWARD: str(project / "mine.py"), "seed": 0}, run)
    assert list(settings) == [REWARD] and Path(settings[REWARD]).is_relative_to(run)
    for path in project.rglob("*.py"):
        path.write_text("raise SystemExit('the original')")
    code = (  # as verl.utils.import_utils.load_module does
        "import sys; from importlib.util import module_from_spec, spec_from_file_location\n"
        "spec = spec_from_file_location('custom', sys.argv[1])\n"
        "spec.loader.exec_module(found := module_from_spec(spec)); print(found.f())"
    )
    env = importing_from(Path(__file__).parents[3], user_files.imported(run))
    said = subprocess.run(
        [sys.executable, "-c", code, settings[REWARD]],
        env={**env, "PATH": "", "HOME": str(tmp_path)},
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split()[-1] == "1.0"


def test_nothing_is_copied_of_a_run_without_files_of_its_own(tmp_path, key_of):
    composed = Composer().compose(["backend=vllm"])
    assert user_files.copy(composed.resolved, tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_retry_does_not_train_with_another_text(project, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ("scale=rehearsal", f"{REWARD}={project / 'mine.py'}", "reward.custom_reward_function.name=f", "seed=0")
    (run,) = draft([words])
    RunFolder.open(tmp_path / "runs", run.key, run.spec.as_dict()).write_status(state="failed", message="lost")
    (project / "mine.py").write_text("def f(**words): return 2.0\n")
    assert main(["retry", run.key]) == 2
    assert "mine.py has changed, which makes it another run" in (said := capsys.readouterr().err)
    assert said.endswith(f"forget {run.key} --with-results\n")


def test_modules_and_the_classes_of_a_yaml_file_are_found(project, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(project))
    lib = user_files.find("actor_rollout_ref.model.external_lib", "parts.deep")
    assert set(lib.imported) == {"parts/__init__.py", "parts/deep.py"}
    loops = tmp_path / "loops.yaml"
    loops.write_text("- name: single_turn_agent\n  _target_: parts.deep.Loop\n- name: x\n  _target_: verl.utils.X\n")
    found = user_files.find("actor_rollout_ref.rollout.agent.agent_loop_config_path", str(loops))
    assert set(found.imported) == {"parts/__init__.py", "parts/deep.py"}
    before = found.digest
    (project / "parts" / "deep.py").write_text("one = 2.0\n")
    assert user_files.find("actor_rollout_ref.rollout.agent.agent_loop_config_path", str(loops)).digest != before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no such file"),
        ("def f(:\n", "line 1: is not Python"),
        ("from .scores import x\n", "Write `from scores import ...`"),
        ("import rich\n", "an installed package is called rich, too. Rename the file"),
    ],
)
def test_what_cannot_be_read_is_said_before_a_run_is_made(tmp_path, text, says):
    if text is not None:
        (tmp_path / "r.py").write_text(text)
    (tmp_path / "rich.py").write_text("")
    with pytest.raises(UserError) as caught:
        user_files.find(REWARD, str(tmp_path / "r.py"))
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.external_lib", "actor.optim.optimizer_impl"])
def test_a_module_that_nobody_has(key_of, name):
    key = f"actor_rollout_ref.{name}"
    with pytest.raises(UserError, match=f"{key}=nowhere.at_all: no module nowhere"):
        key_of(f"{key}=nowhere.at_all")


def test_an_optimizer_of_ones_own_is_copied_and_named_by_its_text(project, tmp_path, monkeypatch, key_of):
    monkeypatch.syspath_prepend(str(project))
    key = "actor_rollout_ref.actor.optim.optimizer_impl"
    before = key_of(f"{key}=parts.deep")
    assert user_files.copy({key: "parts.deep"}, tmp_path / "run") == {}
    assert (user_files.imported(tmp_path / "run") / "parts" / "deep.py").read_text().endswith("one = 1.0\n")
    (project / "parts" / "deep.py").write_text("one = 2.0\n")
    assert key_of(f"{key}=parts.deep") != before
    assert user_files.find(key, "torch.optim") is None


@pytest.mark.parametrize("role", ["actor", "ref"])
def test_a_quantization_config_is_looked_for(role):
    with pytest.raises(UserError, match="no such file"):
        user_files.find(f"actor_rollout_ref.{role}.fsdp_config.qat.quantization_config_path", "nowhere.json")


def test_the_names_that_a_file_defines(tmp_path):
    path = tmp_path / "r.py"
    path.write_text(
        "import os\nfrom x import y as z\nA, B = 1, 2\nif A:\n    C = 3\nclass D: ...\nasync def e(): ...\n"
    )
    assert user_files.defined(path) == {"os", "z", "A", "B", "C", "D", "e"}
