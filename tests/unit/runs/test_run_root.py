"""The runs of a root, read with what earlier commands have kept of them: the same answers as without, whatever was done
to the folders, to the kept file, and by whom."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from functools import wraps
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from samples import examples

from gapo_lab.cli import status_rows
from gapo_lab.errors import UserError
from gapo_lab.launch import run_states
from gapo_lab.runs import file_signature, remembered
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.remembered import FOLDER, NAME
from gapo_lab.runs.run_root import RunRoot, ahead, find

KEYS = ("a", "b", "c")
TICK = 0.012  # seconds that the kernel's clock for files takes at most
SPEC = {"study": "s", "model": "nano", "algo": "grpo", "seed": 0, "science": {"x": 1}}


@pytest.fixture
def write_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is kept each time, and no file is too new for it; see test_what_has_just_changed_is_not_kept."""
    monkeypatch.setattr(remembered, "WORTH_WRITING", 1)
    monkeypatch.setattr(remembered, "SHARE", 10**9)
    monkeypatch.setattr(remembered.Remembered, "_is_settled", lambda self, one, now=None: True)


def answers(root: Path, runs: RunRoot | None = None) -> dict[str, object]:
    """All that commands ask of the runs; of plain folders where there is no `runs`."""
    folders = runs.folders() if runs else find(root)
    out: dict[str, object] = {folder.key: [said(folder, name) for name in ASKED] for folder in folders}
    out["states"] = run_states.read(root, [*KEYS, "missing"], runs)
    out["table"] = status_rows.read(folders, run_states.read(root, KEYS, runs), now=0.0)
    return out


ASKED = ("spec", "cell", "raw_status", "is_finished", "summary", "numbers", "status", "resume_step", "attempts")


def said(folder: RunFolder, name: str) -> object:
    try:
        found = getattr(folder, name)
        found = found() if callable(found) else found
        return repr(found)  # NaN is not itself
    except (UserError, OSError) as error:
        return type(error), str(error)


def by_a_writer(write):
    """A rule whose writer refuses a folder that was broken by hand."""

    @wraps(write)
    def tried(*args, **words) -> None:
        with suppress(UserError, OSError):
            write(*args, **words)

    return tried


class AnyChanges(RuleBasedStateMachine):
    """Run folders that are changed by their writers and by hand; in between, commands read them."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.root = Path(tempfile.mkdtemp(prefix="gapo-many-"))
        self.kept = RunRoot(self.root)  # of a command that goes on, as `watch` does

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    def folder(self, key: str) -> RunFolder:
        return RunFolder.open(self.root, key, {**SPEC, "seed": KEYS.index(key)})

    @rule(key=st.sampled_from(KEYS), state=st.sampled_from(["queued", "running", "failed", "finished"]))
    @by_a_writer
    def writes_its_status(self, key: str, state: str) -> None:
        self.folder(key).write_status(state=state, message="now")

    @rule(key=st.sampled_from(KEYS))
    @by_a_writer
    def starts_an_attempt(self, key: str) -> None:
        self.folder(key).start_attempt(total_steps=4)

    @rule(key=st.sampled_from(KEYS), step=st.integers(0, 4), value=st.sampled_from([0.5, 0.25, float("nan")]))
    @by_a_writer
    def measures(self, key: str, step: int, value: float) -> None:
        folder = self.folder(key)
        attempt = folder.attempts()[-1] if folder.attempts() else folder.start_attempt()
        attempt.append_metrics(step, {"val/id/em": value, "train/reward": value})

    @rule(key=st.sampled_from(KEYS), step=st.integers(0, 4), whole=st.booleans())
    @by_a_writer
    def saves_a_checkpoint(self, key: str, step: int, whole: bool) -> None:
        folder = self.folder(key).checkpoints
        (folder / f"global_step_{step}" / "actor").mkdir(parents=True, exist_ok=True)
        if whole:
            (folder / "latest_checkpointed_iteration.txt").write_text(str(step))

    @rule(key=st.sampled_from(KEYS), value=st.sampled_from([0.5, 1.0, float("nan"), 2**70]))
    @by_a_writer
    def finishes(self, key: str, value: float) -> None:
        self.folder(key).write_summary({"best/id/em": value, "final/step": 4})

    @rule(
        key=st.sampled_from(KEYS),
        name=st.sampled_from(["spec.yaml", "status.json", "summary.json", "config.yaml", "attempts/1/metrics.jsonl"]),
        text=st.sampled_from(["", "{", "[]", "{}", '{"a": 1}', "study: t\n", "metric: val/id/f1\n", "a: 2001-01-01\n"]),
    )
    def is_edited_in_place(self, key: str, name: str, text: str) -> None:
        path = self.root / key / name
        if path.parent.is_dir():
            time.sleep(TICK)
            path.write_text(text)

    @rule(key=st.sampled_from(KEYS))
    def is_edited_to_the_same_length(self, key: str) -> None:
        path = self.root / key / "summary.json"
        if path.exists():
            before = path.stat()
            time.sleep(TICK)
            path.write_text(path.read_text().replace("0.5", "0.7"))
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # by a tool that keeps times

    @rule(key=st.sampled_from(KEYS), name=st.sampled_from(["spec.yaml", "status.json", "summary.json", "checkpoints"]))
    def loses_a_file(self, key: str, name: str) -> None:
        path = self.root / key / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    @rule(key=st.sampled_from(KEYS))
    def is_removed(self, key: str) -> None:
        shutil.rmtree(self.root / key, ignore_errors=True)

    @rule(one=st.sampled_from(KEYS), other=st.sampled_from(KEYS))
    def is_put_in_the_place_of_another(self, one: str, other: str) -> None:
        if one != other and (self.root / one).is_dir():
            shutil.rmtree(self.root / other, ignore_errors=True)
            shutil.copytree(self.root / one, self.root / other)  # with its times

    @rule(how=st.sampled_from(["lost", "cut", "garbled", "a folder", "old"]))
    def the_kept_file_is(self, how: str) -> None:
        path = self.root / FOLDER / NAME
        if not path.is_file():
            return
        data = path.read_bytes()
        if how == "lost":
            shutil.rmtree(path.parent)
        elif how == "cut":
            path.write_bytes(data[: len(data) // 2])
        elif how == "garbled":
            path.write_bytes(data.replace(b"0.5", b"0.9"))
        elif how == "a folder":
            path.unlink()
            path.mkdir()
        else:
            path.write_bytes(self.older if hasattr(self, "older") else data)
            self.older = data

    @invariant()
    def the_same_as_without(self) -> None:
        wanted = answers(self.root)
        with RunRoot(self.root) as runs:
            assert answers(self.root, runs) == wanted
        self.kept.look()
        assert answers(self.root, self.kept) == wanted


AnyChanges.TestCase.settings = examples(30, stateful_step_count=15)
test_any_changes = pytest.mark.usefixtures("write_at_once")(AnyChanges.TestCase)


def read_nothing(*args: object) -> None:
    raise AssertionError("a file was read")


def finished(root: Path, key: str) -> RunFolder:
    folder = RunFolder.open(root, key, SPEC)
    folder.start_attempt()
    folder.write_summary({"best/id/em": 0.5})
    return folder


@pytest.mark.usefixtures("write_at_once")
def test_the_next_command_reads_no_file_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished(tmp_path, "a")
    wanted = answers(tmp_path)
    with RunRoot(tmp_path) as runs:
        answers(tmp_path, runs)
    assert (tmp_path / FOLDER / NAME).is_file()
    monkeypatch.setattr("gapo_lab.runs.spec_file.read", read_nothing)
    monkeypatch.setattr("gapo_lab.utils.atomic_files.read_json", read_nothing)
    assert answers(tmp_path, RunRoot(tmp_path)) == wanted


def test_what_has_just_changed_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may change twice within a tick of the clock, with the same signature before and after."""
    monkeypatch.setattr(remembered, "WORTH_WRITING", 0)
    finished(tmp_path, "a")
    with RunRoot(tmp_path) as runs:
        answers(tmp_path, runs)
    assert b"best" not in (tmp_path / FOLDER / NAME).read_bytes()
    monkeypatch.setattr(file_signature, "SETTLED_HERE", -5.0)
    monkeypatch.setattr(file_signature, "SETTLED_ELSEWHERE", -5.0)
    with RunRoot(tmp_path) as runs:
        answers(tmp_path, runs)
    assert b"best" in (tmp_path / FOLDER / NAME).read_bytes()


@pytest.mark.usefixtures("write_at_once")
def test_a_root_that_takes_no_file_is_read_all_the_same(tmp_path: Path) -> None:
    finished(tmp_path, "a")
    (tmp_path / FOLDER).write_text("in its way")
    with RunRoot(tmp_path) as runs:
        assert answers(tmp_path, runs) == answers(tmp_path)


@pytest.mark.usefixtures("write_at_once")
def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    finished(tmp_path, "a")
    (tmp_path / FOLDER).mkdir()
    left, new = (tmp_path / FOLDER / f".{NAME}.{name}" for name in ("left", "new"))
    left.write_text("half"), new.write_text("half")
    os.utime(left, (0, 0))
    with RunRoot(tmp_path) as runs:
        answers(tmp_path, runs)
    assert not left.exists() and new.exists()


def test_few_runs_are_not_worth_a_file(tmp_path: Path) -> None:
    finished(tmp_path, "a")
    with RunRoot(tmp_path) as runs:
        answers(tmp_path, runs)
    assert not (tmp_path / FOLDER).exists()


def test_on_a_slow_disk_folders_are_read_at_once(tmp_path: Path) -> None:
    folders = [RunFolder(tmp_path / str(number)) for number in range(80)]
    read = []

    def slowly(folder: RunFolder) -> None:
        time.sleep(0.01)
        read.append(folder.key)
        raise UserError("broken, which its reader will hear of")

    ahead(folders, slowly)
    assert set(read) == {folder.key for folder in folders}
    read.clear()
    ahead(folders, lambda folder: read.append(folder.key))
    assert len(read) < len(folders)  # there is nothing to wait for
