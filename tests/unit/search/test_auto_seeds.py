"""`seed=auto`: seeds are added to open claims, and to nothing else, until all are decided or the budget ends."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gapo_lab.cli.runs import main
from gapo_lab.errors import UserError
from gapo_lab.planning.plan import draft
from gapo_lab.runs.claims import Claim
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.run_root import find
from gapo_lab.search import auto_seeds
from gapo_lab.search.open_claims import decide, grown, pairs
from gapo_lab.utils.e_process import bet, first_decided

CLAIM = Claim("gapo_grpo", "grpo", "val/id/em")
OTHER = Claim("dapo", "grpo", "val/id/em")
CLAIMED = "claims=[gapo_grpo over grpo on val/id/em]"
WORDS = ("scale=rehearsal", CLAIMED)


def cells_of(*cells: tuple[str, ...]):
    return dict(zip(cells, draft([(*cell, "seed=0") for cell in cells]), strict=True))


@pytest.fixture(scope="module")
def three():
    return cells_of(("algo=grpo",), ("algo=gapo_grpo",), ("algo=dapo",))


def test_a_claim_that_is_decided_gets_no_more_seeds(three):
    gain = {"algo=grpo": 0.0, "algo=gapo_grpo": 5.0, "algo=dapo": 0.1}
    noise = [0.3, -0.4, 0.1, 0.2, -0.2, 0.4]

    def value(cell, seed, metric):
        return gain[cell[0]] + noise[(seed + len(cell[0])) % 6]

    seeds = dict.fromkeys(three, 6)
    decisions = decide([CLAIM, OTHER], three, seeds, value)
    assert [one.bet.verdict for one in decisions] == ["better", "open"]
    assert [one.bet.bar for one in decisions] == [40.0, 40.0]  # 20 a claim
    assert grown(seeds, decisions, step=2, most=20) == {("algo=grpo",): 8, ("algo=gapo_grpo",): 6, ("algo=dapo",): 8}
    assert grown(seeds, decisions, step=2, most=6) == seeds


def test_the_cells_of_a_claim_come_to_have_equally_many_seeds(three):
    seeds = {("algo=grpo",): 9, ("algo=gapo_grpo",): 5, ("algo=dapo",): 9}
    decisions = decide([CLAIM], three, seeds, lambda cell, seed, metric: float(seed))
    assert decisions[0].bet.n == 5  # only seeds that both have
    assert grown(seeds, decisions, step=1, most=20)[("algo=gapo_grpo",)] == 6


@given(st.lists(st.floats(-3, 3), max_size=12), st.integers(1, 4))
def test_what_is_decided_stays_decided(differences, claims):
    """The first number of seeds that decides counts, whatever comes after; until then it is the bet on all."""
    found = first_decided(differences, claims)
    decided = [n for n in range(2, len(differences) + 1) if bet(differences[:n], claims).is_decided]
    assert found.n == (decided[0] if decided else len(differences)) and found.is_decided == bool(decided)


def test_a_method_without_tau_has_one_cell_and_one_with_several_is_asked_about():
    cells = cells_of(*((f"algo={algo}", f"tau={tau}") for algo in ("grpo", "gapo_grpo") for tau in (0.3, 0.5)))
    with pytest.raises(UserError, match="2 cells of gapo_grpo on nano, and the claim .* does not say which"):
        pairs(CLAIM, cells)
    del cells[("algo=gapo_grpo", "tau=0.3")]
    assert pairs(CLAIM, cells) == [(("algo=gapo_grpo", "tau=0.5"), ("algo=grpo", "tau=0.3"))]
    with pytest.raises(UserError, match="no model has runs of both methods"):
        pairs(OTHER, cells)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing is. Name it: 'claims="),
        ((CLAIMED, "auto.first=0"), "auto.first=0: must be a whole number from 1 on"),
        ((CLAIMED, "auto.first=7", "auto.most=6"), "auto.first=7: is more than auto.most=6"),
        ((CLAIMED, "auto.hours=-1"), "auto.hours=-1: must be a number of hours above 0, or null"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(capsys, words, said):
    assert main(["plan", "algo=grpo,gapo_grpo", "seed=auto", "scale=rehearsal", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1


def test_a_plan_shows_the_first_seeds_and_what_may_come(capsys):
    assert main(["plan", "algo=grpo,gapo_grpo", "seed=auto", "scale=rehearsal", CLAIMED, "auto.first=3"]) == 0
    said = capsys.readouterr().out
    assert "6 runs in 2 cells" in said and "then 1 seed at a time for the cells of open claims" in said
    assert "until every claim is decided, or the open ones have 20 seeds" in said


def finish(root: Path, ems: Mapping[tuple[str, int], float]) -> None:
    """Leave the folders of rehearsals by method and seed, each of a quarter of an hour."""
    drafted = draft([(*WORDS, f"algo={algo}", f"seed={seed}") for algo, seed in ems])
    for run, em in zip(drafted, ems.values(), strict=True):
        folder = RunFolder.open(root, run.key, run.valid_spec.as_dict())
        folder.start_attempt().append_metrics(1, {"val/id/em": em})
        folder.write_summary({"final/id/em": em})
        folder.write_status(state="finished", wall_seconds=900)


def carried_out(*words: str) -> str:
    out = io.StringIO()
    auto_seeds.carry_out(
        [(*WORDS, f"algo={algo}", "seed=auto", *words) for algo in ("grpo", "gapo_grpo")],
        console=Console(file=out, width=160),
    )
    return out.getvalue()


def test_it_ends_where_all_claims_are_decided(tmp_path, monkeypatch):
    """Four seeds cannot decide a claim, whatever they say, and a large difference decides it with five."""
    monkeypatch.chdir(tmp_path)
    ems = {("grpo", seed): 0.2 + 0.001 * seed for seed in range(6)}
    finish(tmp_path / "runs", ems | {("gapo_grpo", seed): 0.5 - 0.001 * seed**2 for seed in range(6)})
    said = carried_out("auto.first=4").splitlines()
    claims = [line for line in said if "gapo_grpo over grpo on val/id/em: " in line]
    assert [line.partition(": ")[2].partition(",")[0] for line in claims] == [
        "open after 4 seeds",
        "decided: better after 5 seeds",
    ]
    assert said[-1] == claims[-1] and len(find(tmp_path / "runs")) == 12


def test_it_ends_where_more_runs_would_be_over_the_budget(tmp_path, monkeypatch):
    """Runs that are there already are read, whatever they took: the same command says what it has said."""
    monkeypatch.chdir(tmp_path)
    finish(tmp_path / "runs", dict.fromkeys(product(("grpo", "gapo_grpo"), range(3)), 0.2))
    for hours in ("1e-9", "1.4"):
        said = carried_out("auto.first=1", f"auto.hours={hours}").splitlines()
        opened = [line for line in said if "over grpo on val/id/em: open after" in line]
        assert len(opened) == 3 and "open after 3 seeds" in opened[-1] == said[-2]
        assert re.fullmatch(
            rf"1\.5 hours are spent, and 2 more runs would take \S+: more than auto\.hours={float(hours):g}\. "
            "The rest stays open",
            said[-1],
        )
    assert len(find(tmp_path / "runs")) == 6


@pytest.mark.slow
def test_seeds_are_added_until_the_budget_ends_and_the_same_command_goes_on(tmp_path, monkeypatch):
    """Rehearsals differ in nothing, so the claim stays open."""
    monkeypatch.chdir(tmp_path)

    def carried_out(most: int) -> str:
        words = ("scale=rehearsal", "rehearsal.seconds=0", "cluster.max_parallel=4", CLAIMED, f"auto.most={most}")
        out = io.StringIO()
        auto_seeds.carry_out(
            [(f"algo={algo}", *words, "auto.first=2", "seed=auto") for algo in ("grpo", "gapo_grpo", "dapo")],
            console=Console(file=out, width=160),
        )
        return out.getvalue()

    said = carried_out(3)
    assert "open after 2 seeds" in said and "open after 3 seeds" in said and "the 3 seeds of auto.most" in said
    # no claim is about dapo
    assert sorted((f.spec["algo"], f.spec["seed"]) for f in find(tmp_path / "runs")) == [
        *(("dapo", seed) for seed in range(2)),
        *(("gapo_grpo", seed) for seed in range(3)),
        *(("grpo", seed) for seed in range(3)),
    ]
    assert "open after 4 seeds" in carried_out(4)
    assert len(find(tmp_path / "runs")) == 10
