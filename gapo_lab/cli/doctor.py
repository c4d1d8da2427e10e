"""`gapo_lab doctor`: the checks to make before spending GPU-hours, one line each."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from gapo_lab.cli import grid
from gapo_lab.errors import UserError
from gapo_lab.utils.prose import say

if TYPE_CHECKING:
    from gapo_lab.doctor.examined_runs import ExaminedRuns
    from gapo_lab.doctor.finding import Finding
    from gapo_lab.planning.plan import Plan

COLOURS = {"ok": "green", "note": "yellow", "not seen": "cyan", "wrong": "red"}


def add(one: Callable[..., argparse.ArgumentParser]) -> None:
    """Put the command into the parser; ``one(name, function, text)`` makes the command's own parser."""
    words = one("doctor", doctor, "check the machine, the cluster, models, data and disk for a run or a sweep")
    words.add_argument("--on-node", action="store_true", help="also check on a node, in a short job with one GPU")
    grid.add_words(words)


def doctor(asked: argparse.Namespace) -> int:
    """Print a line for each check. The exit code is 1 if something is wrong."""
    from gapo_lab.doctor import examine, on_node, stand_in
    from gapo_lab.doctor.finding import Verdict, counts, failed
    from gapo_lab.launch import executor

    asked.overrides, unreadable = stand_in.replaced(asked.overrides)
    cells = grid.read(asked).cells_without_intervals()
    plan = executor.plan_of(cells)
    examined = _examined_runs(plan)
    if unreadable:
        examined = replace(examined, need=0.0)  # how large its checkpoints are is not known either
    if asked.on_node and not examined.is_cluster:
        raise UserError("--on-node: cluster=local has no other node. Name the cluster: cluster=NAME")
    console, found = Console(), []

    def show(findings: Iterable[Finding]) -> None:
        for finding in findings:
            if asked.on_node and finding.verdict is Verdict.UNSEEN:
                continue  # the node will say it
            if unreadable and stand_in.is_about(finding):
                continue
            found.append(finding)
            _print(finding, console)

    show(unreadable or _settings(plan))
    show(examine.here(examined, executor.scripts(plan) if examined.is_cluster else ()))
    if asked.on_node:
        cluster = next((run.cluster for run in plan.todo), None)
        if cluster is None:
            raise UserError("--on-node: no run of this command can be started. Fix what is wrong above")
        show(on_node.run(examined, cluster, lambda text: say(console, text, markup=False)))
    console.print(counts(found), highlight=False)
    return 1 if failed(found) else 0


def _settings(plan: Plan) -> Iterable[Finding]:
    """Yield whether the plan's runs are valid: one finding for each reason why they are not."""
    from gapo_lab.doctor.finding import ok, wrong
    from gapo_lab.planning.plan import Action
    from gapo_lab.planning.plan_table import totals

    reasons = dict.fromkeys(run.why for run in plan.doing(Action.INVALID))
    for why in reasons:
        yield wrong("settings", why)
    if not reasons:
        yield ok("settings", totals(plan))


def _examined_runs(plan: Plan) -> ExaminedRuns:
    """Return what is checked of a plan. Invalid runs are included if they can be composed. UserError if no run can
    be."""
    from gapo_lab.config.fast_compose import Composer
    from gapo_lab.doctor.examined_runs import ExaminedRuns
    from gapo_lab.planning import disk

    composer, settings, error = Composer(), [], None
    for run in plan.runs:
        try:
            settings.append(run.settings or composer.compose(run.words).resolved)
        except UserError as wrong:
            error = wrong
    if not settings:
        raise error or UserError("no runs: nothing to check")
    return ExaminedRuns.of(settings, Path(settings[0]["run_root"]), disk.at_most(plan.todo))


def _print(finding: Finding, console: Console) -> None:
    colour = COLOURS[finding.verdict]
    line = f"[{colour}]{finding.verdict:<8}[/]  {escape(finding.about):<20}  {escape(finding.text)}"
    say(console, line)
