"""An override that is given to a command without overrides: the message says what to write."""

from __future__ import annotations

import pytest

from analysis.report import command as report
from gapo_lab.cli import data, runs


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("status curve run_root=/some/folder", "Write --root /some/folder before the command"),
        ("status run_root=/some/folder", "Write --root /some/folder before the command"),
        ("watch study=curve", "Write curve"),
        ("logs study=curve", "Write curve"),
        ("gc all keep=none", "Write --keep none"),
        ("cancel curve seed=3", "See python -m gapo_lab cancel --help"),
        ("pack curve ++trainer.seed=3 --out x.tar.xz", "See python -m gapo_lab pack --help"),
    ],
)
def test_what_to_write_in_its_place(words, remedy, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command, *arguments = words.split()
    override = next(word for word in arguments if "=" in word)
    assert runs.main(words.split()) == 2
    assert capsys.readouterr().err == f"gapo_lab: {override}: an override, and {command} takes none. {remedy}\n"


def test_other_programs_say_it_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert report.main(["curve", "run_root=/some/folder"]) == 2
    assert "Write --runs /some/folder\n" in capsys.readouterr().err
    assert data.main(["validate", "rows.jsonl", "data.truth_key=answer"]) == 2
    assert "Write --truth-key answer\n" in capsys.readouterr().err


def test_commands_of_overrides_take_them_and_a_file_may_have_such_a_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert runs.main(["show", "algo=grpo"]) == 0
    (tmp_path / "part=1").mkdir()
    assert data.main(["mine", "part=1"]) == 2
    assert "an override" not in capsys.readouterr().err


def test_what_is_no_override_is_said_as_ever(capsys):
    with pytest.raises(SystemExit):
        runs.main(["status", "curve", "--seed"])
    assert "unrecognized arguments: --seed" in capsys.readouterr().err
