"""What ships with an installed wheel can be read and copied; --help names what can be chosen."""

from __future__ import annotations

import pytest

from gapo_lab.cli.runs import main
from gapo_lab.config import choices, resolvers
from gapo_lab.paths import CONF, SLURM, SWEEPS


@pytest.mark.parametrize(
    ("word", "path"),
    [
        ("algo=grpo", CONF / "algo" / "grpo.yaml"),
        ("+sweep=fair", SWEEPS / "fair.yaml"),
        ("sweep=fair", SWEEPS / "fair.yaml"),
        ("cluster=example", SLURM / "example.yaml"),
        ("cluster=slurm", CONF / "cluster" / "slurm.yaml"),
        ("search/sampler=tpe", CONF / "search" / "sampler" / "tpe.yaml"),
        ("data.template", CONF.parent / "gapo_lab" / "data" / "tasks" / "template.txt"),
    ],
)
def test_a_built_in_file_is_printed_as_it_is(capsys, word, path):
    assert main(["show", word]) == 0
    said = capsys.readouterr()
    assert said.out == path.read_text() and said.err == f"{path}\n"


def test_files_of_the_working_folder_are_shown_too(tmp_path, monkeypatch, capsys):
    (tmp_path / "conf" / "algo").mkdir(parents=True)
    (tmp_path / "conf" / "algo" / "mine.yaml").write_text("algo: {}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["show", "algo=mine"]) == 0 and capsys.readouterr().out == "algo: {}\n"
    assert any(line.endswith(" mine") for line in choices.lines())


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("algo=grppo", "algo=grppo: no such file (did you mean grpo?). Give one of cispo, "),
        ("tau=0.5", "tau=0.5: names no config file. Give algo, data, "),
    ],
)
def test_what_is_no_file_is_told(capsys, word, says):
    assert main(["show", word]) == 2
    assert says in capsys.readouterr().err


def test_help_fits_a_terminal_and_names_no_group_of_verls():
    said = resolvers.help_text().splitlines()
    assert max(map(len, said)) <= 84
    groups = [line.partition("=")[0] for line in said if "=  " in line]
    assert {"algo", "data", "model", "scale", "recipe", "reward", "+sweep"} <= set(groups)
    assert not {"critic", "engine", "optim", "transfer_queue"} & set(groups)
