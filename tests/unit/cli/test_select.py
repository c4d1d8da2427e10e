"""What an argument of a command means."""

from __future__ import annotations

from pathlib import Path

import pytest

from gapo_lab.cli.select import chosen
from gapo_lab.errors import UserError
from gapo_lab.runs.run_root import RunRoot, find


def make(root: Path, **specs: str) -> None:
    for key, text in specs.items():
        (root / key).mkdir()
        (root / key / "spec.yaml").write_text(text, encoding="utf-8")


def test_a_run_whose_cell_has_no_id_is_still_in_its_study(tmp_path: Path) -> None:
    """`cancel STUDY` and `retry STUDY` ask for no cell."""
    make(tmp_path, a="study: s\nscience:\n  1: 2\n  x: 3\n", b="study: s\nscience: &a\n  x: *a\n", c="study: t\n")
    assert chosen(RunRoot(tmp_path), "s") == ["a", "b"]
    assert [folder.study for folder in find(tmp_path)] == ["s", "s", "t"]


def test_runs_without_a_study_are_not_those_of_the_study_without_a_name(tmp_path: Path) -> None:
    make(tmp_path, a="model: nano\n", b="model: nano\n", c="study: t\n")
    with pytest.raises(UserError, match="is the beginning of 3 runs"):
        chosen(RunRoot(tmp_path), "")
