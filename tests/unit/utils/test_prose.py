"""Sentences are broken at spaces; what is copied from them is not."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from gapo_lab.utils.prose import say, wrapped

LONG = "this is a sentence of some words that are wider than the terminal"


def test_lines_break_at_spaces_and_hang():
    assert wrapped("one two three four five", 10) == "one two\n    three\n    four\n    five"
    assert wrapped("        one two three", 14) == "        one\n            two\n            three"
    assert wrapped("short", 10) == "short" and wrapped("", 10) == ""


@pytest.mark.parametrize("width", range(20, 90))
def test_nothing_is_lost_at_any_width(width):
    out = wrapped(LONG, width)
    assert " ".join(out.split()) == LONG and max(map(len, out.split("\n"))) <= width


@pytest.mark.parametrize(
    "whole",
    [
        "python -m gapo_lab logs 1a2b3c",
        "python -m gapo_lab doctor",
        ".venv/bin/python -m gapo_lab.data mine REPO... --out data/mined",
        "python -m analysis.report winsor",
        "hf download Qwen/Qwen2.5-Coder-7B-Instruct",
        "hf download zed-industries/zeta --repo-type dataset --local-dir data/ood/zeta",
        "make setup VLLM_CPU=1",
        "http://127.0.0.1:5000",
        "data.train_batch_size=84",
    ],
)
@pytest.mark.parametrize("behind", ["", ".", ", then again", " with the same words", " (as above)"])
@pytest.mark.parametrize("width", [30, 50, 72])
def test_a_command_a_setting_and_an_address_stay_whole(whole, behind, width):
    for before in ("Give ", "What is wrong here is this. To mend it: "):
        assert any(whole in line for line in wrapped(f"{before}{whole}{behind}", width).split("\n"))


def test_words_behind_a_command_are_none_of_it():
    out = wrapped("python -m gapo_lab doctor with the same words calls it on a row", 40)
    assert out == "python -m gapo_lab doctor with the same\n    words calls it on a row"


def test_colours_stay_and_pipes_get_one_line():
    def printed(**how) -> str:
        file = io.StringIO()
        say(Console(file=file, width=30, **how), f"[yellow]note[/] {LONG} \\[a] :smile:")
        return file.getvalue()

    assert printed() == f"note {LONG} [a] :smile:\n"
    shown = printed(force_terminal=True, color_system="standard")
    assert shown.startswith("\x1b[33mnote\x1b[0m this is a sentence of\n    some words that are wider\n")
