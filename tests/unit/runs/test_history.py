"""Metrics read as they come are the metrics read at once, whatever happens to the files meanwhile."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import examples

from gapo_lab.errors import UserError
from gapo_lab.runs import attempt, history
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.history import History, last, newest_first, only
from gapo_lab.runs.metrics import Row

NAMES = st.sampled_from(["train/reward", "val/id/em", "actor/loss"])
WRITES = st.tuples(st.just("write"), st.integers(0, 6), st.dictionaries(NAMES, st.floats(allow_nan=False), max_size=3))
EVENTS = st.lists(
    st.one_of(WRITES, WRITES, st.sampled_from([("look",), ("attempt",), ("cut",), ("mend",), ("replace",)])),
    max_size=25,
)


@pytest.fixture
def folder(tmp_path):
    return RunFolder.open(tmp_path, "key", {"model": "nano"})


def write(path, text):
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)


@examples(150)
@given(events=EVENTS)
def test_it_is_what_reading_everything_gives(tmp_path_factory, events):
    """Rows, attempts that go back, half-written lines, files that were mended by hand; looked at now and then."""
    folder = RunFolder.open(tmp_path_factory.mktemp("runs"), "key", {"model": "nano"})
    seen, now, half = History(folder.path), folder.start_attempt(), False
    for time, event in enumerate(events):
        if half and event[0] in ("write", "mend"):
            text = now.metrics_path.read_text()
            now.metrics_path.write_text(text[: text.index('{"step": 3, "ti')])
            half = False
        if event[0] == "write":
            line = Row(event[1], float(time), event[2]).to_json() + "\n"
            write(now.metrics_path, line)
        elif event[0] == "attempt" and not half:
            now = folder.start_attempt()
        elif event[0] == "cut" and not half:
            write(now.metrics_path, '{"step": 3, "ti')
            half = True
        elif event[0] == "replace" and now.metrics_path.exists() and not half:
            kept = now.metrics_path.read_text().split("\n")[1:]
            aside = now.path / "aside"
            aside.write_text("\n".join(kept))
            aside.replace(now.metrics_path)
        elif event[0] == "look":
            assert seen.look() == folder.merged_points()  # a half line is no row yet
    assert seen.look() == folder.merged_points() and list(seen.look()) == list(folder.merged_points())
    assert seen.begun == bool(now.rows())


def test_each_byte_is_read_once(folder, monkeypatch):
    now, read, steps = folder.start_attempt(), [], 60

    class Counted(io.FileIO):
        def read(self, *args):
            read.append(super().read(*args))
            return read[-1]

    monkeypatch.setattr(history, "open", Counted, raising=False)
    seen = History(folder.path, only("train/reward"))
    for step in range(steps):
        now.append_metrics(step, {"train/reward": 0.1 * step, **{f"other/{n}": 0.5 for n in range(20)}})
        for _ in range(3):
            assert last(seen.look(), "train/reward") == pytest.approx(0.1 * step)
    assert sum(map(len, read)) <= now.metrics_path.stat().st_size + steps * history.TAIL
    assert all(set(at) == {"train/reward"} for at in newest_first(seen.look()))


def test_a_line_that_is_cut_short_is_read_when_it_is_whole(folder):
    now, seen = folder.start_attempt(), History(folder.path)
    line = Row(1, 5.0, {"a": 1.0}).to_json()
    write(now.metrics_path, line[:10])
    assert seen.look() == {} and not seen.begun
    write(now.metrics_path, line[10:])
    assert seen.look() == {}
    write(now.metrics_path, "\n")
    assert seen.look()[1]["a"].value == 1.0 and seen.begun


def test_a_line_that_is_no_row_is_named_at_every_look(folder):
    now, seen = folder.start_attempt(), History(folder.path)
    now.append_metrics(1, {"a": 1.0})
    seen.look()
    write(now.metrics_path, "nonsense\n")
    for _ in range(2):
        with pytest.raises(UserError, match=r"metrics.jsonl:2 is no metrics row \(nonsense\)"):
            seen.look()


def test_a_new_attempt_has_measured_nothing_yet(folder):
    first, seen = folder.start_attempt(), History(folder.path)
    first.append_metrics(1, {"a": 1.0})
    assert seen.look() and seen.begun
    folder.start_attempt()
    assert seen.look() == folder.merged_points() and not seen.begun
    assert attempt.Attempt(1, first.path) == first
