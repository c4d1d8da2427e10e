"""The words of a search, its plan and its report."""

from __future__ import annotations

import csv
import json

import pytest
from lab import REPO
from simulated_runs import search_of, searched

from gapo_lab.cli.runs import main
from gapo_lab.errors import UserError
from gapo_lab.search import samplers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["tau=0.5"], "nothing to search"),
        (["tau=interval(0,1)"], r"tau=0.*: must be a number in \(0, 1\]"),
        (["algo=gapo_grpo,gapo_grpp"], "did you mean gapo_grpo"),
        (["tua=interval(0,1)"], "tua: no such key"),
        (["algo=grpo"], "tau: makes no difference to these runs, so there is nothing to search"),
        (["search/sampler=grid"], "grid needs values"),
        (["search/sampler=best"], "no such search/sampler"),
        (["search.trials=0"], "search.trials=0: must be a whole number from 1 on"),
        (["search.maximize=[]"], "are empty"),
        (["search.maximize=em"], "em is no objective"),
        (["data=parquet", "data.train=a.jsonl", "data.id=b.jsonl", "reward=edit"], "data.dev is none. Give one"),
        (["search.maximize=best/id/em2"], "no run measures val/id/em2; there are: actor/pg_clipfrac"),
        (["search.sampler.seeds=1"], "seeds: no such key"),
        (["seed=0,1"], "Give search.seeds=N for more seeds a trial"),
        (["tau=interval(0.9,0.1)"], "first bound must be below"),
        (["tau=tag(log,interval(0,1))"], "bounds above 0"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, words, says):
    with pytest.raises(UserError, match=says) as error:
        searched(tmp_path, *words)
    assert ("\n" not in str(error.value) and not list(tmp_path.glob("*/spec.yaml"))) or "measures" in says


@pytest.mark.slow
def test_every_config_of_a_search_composes():
    for group in ("sampler", "pruner"):
        for path in (REPO / "conf" / "search" / group).glob("*.yaml"):
            search = search_of(f"search/{group}={path.stem}", "tau=0.1,0.5")
            assert samplers.sampler(search.sampler, search.space, 3) and samplers.pruner(search.pruner)


@pytest.mark.slow
def test_the_report_has_pictures_a_table_and_the_result(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = (
        "algo=grpo,gapo_grpo",
        "search.trials=12",
        "search.sampler.n_startup_trials=5",
        "search.finalists=1",
    )
    found = searched(tmp_path / "runs", *words, report=True)
    place = tmp_path / "reports" / "tau_search" / "search"
    names = {path.name for path in place.iterdir()}
    pictures = ("history", "slice", "curves", "importance")
    assert names == {*(f"{n}.{e}" for n in pictures for e in ("png", "pdf")), "trials.csv", "result.json"}
    assert all((place / f"{name}.png").read_bytes().startswith(b"\x89PNG") for name in pictures)
    with open(place / "trials.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 and {row["state"] for row in rows} <= {"complete", "pruned"}
    assert all(bool(row["tau"]) == (row["algo"] == "gapo_grpo") for row in rows)
    assert json.loads((place / "result.json").read_text())["line"] == found.line


@pytest.mark.slow
@pytest.mark.parametrize("more", [["cluster=slurm", "data=micro"], ["scale=nano"], ["scale=rehearsal", "cluster=dev"]])
def test_the_plan_says_what_a_search_may_cost(more, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "+sweep=tau_search", *more]) == 0
    shown = capsys.readouterr().out
    assert "maximize final/dev/em_expected over tau from 0.05 to 1" in shown and "at most 42 runs" in shown
    assert ("GPU-hours" in shown) == ("cluster=slurm" in more)
    assert not list(tmp_path.iterdir())
    assert main(["plan", "+sweep=tau_search", *more, "tau=interval(0.1,2)"]) == 2
    assert "tau=2" in capsys.readouterr().err


def test_a_grid_says_where_an_interval_is_searched(capsys):
    assert main(["plan", "tau=interval(0.1,1)"]) == 2
    assert "+sweep=search" in capsys.readouterr().err
