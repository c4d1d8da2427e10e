"""A reward of the user's own: what it is told, what it may return, what hangs."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from lab import REPO

from gapo_lab.training.call_limit import TooLong, deadline, reason_in
from gapo_lab.training.reward_function import ERROR_FILE
from gapo_lab.training.user_reward import RewardRaised, checked, score, score_async

ROW = "row 3 of train.parquet"


@pytest.mark.parametrize(
    ("returned", "kept"),
    [
        (0.5, {"score": 0.5, "acc": 0.5}),
        (True, {"score": 1.0, "acc": 1.0}),
        (np.float32(0.5), {"score": 0.5, "acc": 0.5}),
        (np.array([2]), {"score": 2.0, "acc": 2.0}),
        ({"score": 1, "passed": np.int64(3), "right": False}, {"score": 1.0, "passed": 3.0, "right": 0.0}),
        ({"score": 1, "pred": "x", "nothing": None}, {"score": 1.0, "pred": "x", "nothing": None}),
    ],
)
def test_what_a_reward_may_return(returned, kept):
    found = checked(returned, "mine.py", ROW)
    assert found == kept and all(value is None or type(value) in (float, str) for value in found.values())


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "returned None for row 3 of train.parquet. It must return a number"),
        ("0.5", "returned '0.5'"),
        ({"acc": 1.0}, "a dict with a number called score"),
        ({"score": "high"}, "a dict with a number called score"),
        ([1.0, 0.5], "must return a number"),
        (float("nan"), "the score of row 3 of train.parquet is nan"),
    ],
)
def test_what_it_may_not(returned, said):
    with pytest.raises(ValueError, match=re.escape(said)) as told:
        checked(returned, "mine.py", ROW)
    assert "reward=mine.py" in str(told.value)


@pytest.mark.verl
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_what_it_raises_names_the_line_the_row_and_the_answer(tmp_path, monkeypatch, kind):
    file = tmp_path / "mine.py"
    file.write_text(f"import json\n\n{kind} f(solution_str, **_):\n    return json.loads(solution_str)\n")
    monkeypatch.setenv(ERROR_FILE, str(tmp_path / "why"))
    lab = {"path": str(file), "name": "f", "called": "mine.py", "seconds": 5.0, "settings": {}}
    words = ("own", "no JSON", "2", {"id": ROW})
    with pytest.raises(RewardRaised, match=r"mine.py: raised JSONDecodeError: .* \(mine.py, line 4\) for .*'no JSON'"):
        asyncio.run(score_async(*words, lab=lab)) if kind.startswith("async") else score(*words, lab=lab)
    # what the job tells is the last line of what is kept
    assert ROW in reason_in(tmp_path / "why") and "line 4" in reason_in(tmp_path / "why")


def test_a_name_is_always_a_number_or_always_a_text():
    checked({"score": 1, "depth": 2}, "kinds.py", ROW)
    checked({"score": 1, "depth": None}, "kinds.py", ROW)
    with pytest.raises(ValueError, match="returned depth='deep' for row 3 .*, and a number for earlier rows"):
        checked({"score": 1, "depth": "deep"}, "kinds.py", ROW)


@pytest.mark.parametrize("hang", ["while True: pass", "time.sleep(99)", "re.fullmatch('(a+)+b', 'a' * 60)"])
def test_what_hangs_in_the_main_thread_is_interrupted(hang):
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(TooLong, match="hangs on row 3"), deadline(0.2, "hangs on row 3", None):
        exec(hang, {"time": time, "re": re})
    assert signal.getsignal(signal.SIGALRM) is before
    with deadline(30, "", None):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


@pytest.mark.parametrize("hang", ["time.sleep(99)", "re.fullmatch('(a+)+b', 'a' * 60)"])
def test_what_hangs_in_another_thread_ends_the_process_and_says_why(hang, tmp_path):
    """Also where it keeps Python's lock, as a regular expression does: then Python can say nothing more itself."""
    code = f"""
import re, threading, time
from pathlib import Path
import gapo_lab.training.call_limit as d
d.GRACE = 0.5
def call():
    with d.deadline(0.5, "hangs on row 3", Path({str(tmp_path / "why")!r})):
        {hang}
thread = threading.Thread(target=call)
thread.start()
thread.join()
print("went on")
"""
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPO,
        env={"PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said.returncode == 1 and said.stdout == ""
    assert reason_in(tmp_path / "why") == "hangs on row 3"


def test_calls_in_time_change_nothing(tmp_path):
    code = """
import pathlib, sys, threading, time
import gapo_lab.training.call_limit as d
d.GRACE = 0.1
why = pathlib.Path(sys.argv[1])
def call():
    for _ in range(5):
        with d.deadline(0.5, "late", why):
            time.sleep(.02)
threads = [threading.Thread(target=call) for _ in range(4)]
[t.start() for t in threads], [t.join() for t in threads]
time.sleep(.8)
print(json.dumps("went on"))
"""
    said = subprocess.run(
        [sys.executable, "-c", "import json" + code, str(tmp_path / "why")],
        env={"PYTHONPATH": str(REPO)},
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert json.loads(said.stdout) == "went on", said.stderr
    assert reason_in(tmp_path / "why") == ""
