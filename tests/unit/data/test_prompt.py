"""How much of a task a prompt shows."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapo_lab.data.tasks.prompt import Budget, load_template, messages
from gapo_lab.data.tasks.task import Hunk, Task
from gapo_lab.errors import UserError

LINES = st.lists(st.text("abc ", max_size=12), max_size=30).map(lambda lines: "".join(line + "\n" for line in lines))


def task(prefix="", suffix="", history=()) -> Task:
    return Task("1", "go", "replace", "a.go", tuple(history), prefix, "REGION\n", suffix, 3, "TRUTH\n")


def shown(prompt: str) -> tuple[str, str]:
    found = re.search(
        r"<\|code\|>a.go\n(.*)<\|region\|>REG<\|cursor\|>ION\n<\|end_region\|>(.*)\n<\|user\|>",
        prompt,
        re.DOTALL,
    )
    return found[1], found[2]


@given(LINES, LINES, st.integers(0, 200))
def test_the_window(prefix, suffix, window):
    before, after = shown(messages(task(prefix, suffix), budget=Budget(window=window))[1]["content"])
    assert prefix.endswith(before) and suffix.startswith(after)
    assert len(before) + len(after) <= window
    assert before == prefix or prefix[: -len(before) or None].endswith("\n"), "whole lines"
    if len(prefix) + len(suffix) <= window:
        assert (before, after) == (prefix, suffix)


@given(LINES, LINES, st.integers(0, 60))
def test_the_window_in_tokens(prefix, suffix, window):
    def words(text):
        return [match.end() for match in re.finditer(r"\s*\S+|\s+", text)]

    before, after = shown(messages(task(prefix, suffix), budget=Budget(window, count=words))[1]["content"])
    assert len(words(before)) + len(words(after)) <= window + 1  # a cut may part one token in two
    assert prefix.endswith(before) and suffix.startswith(after)


def test_the_latest_edits_are_shown():
    history = [Hunk("a.go", f"old {i}\n", f"new {i}\n") for i in range(9)]
    text = messages(task(history=history), budget=Budget(history=60))[1]["content"]
    assert "+new 8" in text and "+new 7" in text and "new 5" not in text
    assert "+new 8" in messages(task(history=history), budget=Budget(history=0))[1]["content"]
    assert "+new 0" in messages(task(history=history))[1]["content"]


def test_a_template_of_ones_own(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text(
        "[system]\nDo.\n[hunk]\n{path}{before_lines}{after_lines}\n[user]\n{prefix}[{region_before}|{region_after}]{suffix}\n"
    )
    chat = messages(task("x\n", "y\n"), load_template(str(path)))
    assert [m["content"] for m in chat] == ["Do.", "x\n[REG|ION\n]y\n"]
    path.write_text("[system]\nDo.\n[user]\n{nothing}\n")
    with pytest.raises(UserError, match=r"the part \[hunk\] is missing"):
        load_template(tmp_path / "mine.txt")
