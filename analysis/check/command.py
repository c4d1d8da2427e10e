"""`python -m analysis.check paper`: misprints, where the check is blind, and what stands out from noise."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from analysis.check import uncertainty
from analysis.check.misprints import check, check_together, lines, possible, possible_share
from analysis.check.uncertainty import SEED_SDS, Claim
from analysis.paper import conventions, published
from analysis.paper.published import Published
from gapo_lab.errors import UserError
from gapo_lab.utils import command_line

ABOUT = "Published tables: numbers that cannot be right, and which differences stand out from noise."
ASSUMPTIONS = (
    """placebo: the root mean square of the differences of methods other than GAPO from their baselines; noise alone if
    these do nothing, else noise and their effect""",
    """seed sd: a difference of means of t runs stands out at 5% while training seeds spread by less than this,
    difference / (1.96 sqrt(2/t)); the runs are independent and share their test cases, whose own noise cancels in the
    difference; no table prints the spread""",
    """cases, p: of one run, by how many test cases the two differ; p is McNemar's if no other case changed, so the
    smallest that can be; runs that differ in more cases, as sampled ones do, have a larger one""",
    "no correction for how many differences there are, and none for a step that was chosen on the same set",
)


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m analysis.check`."""
    out = argparse.ArgumentParser(prog="python -m analysis.check", description=ABOUT)
    out.add_argument("tables", nargs="+", help="'paper', or YAML files like analysis/paper/published/table2.yaml")
    return out


def main(words: list[str] | None = None) -> int:
    """Run the command. Exit code 0, with misprints too: finding them is the job; 2 for a user's mistake."""
    try:
        asked = command_line.parse(parser(), words)
        tables = [
            table
            for word in asked.tables
            for table in (published.paper() if word == "paper" else [published.load(Path(word))])
        ]
        found = [misprint for table in tables for misprint in check(table)] + check_together(tables)
    except UserError as error:
        print(f"analysis: {error}", file=sys.stderr)
        return 2
    names = ", ".join(table.table for table in tables)
    of = f"in table{'s' if len(tables) > 1 else ''} {names}"
    if found:
        print("\n".join(lines(found)))
    print(f"{len(found) or 'no'} misprint{'' if len(found) == 1 else 's'} {of}")
    accuracies = [table for table in tables if table.kind == "accuracy"]
    for section in (_power(accuracies), _equal(accuracies), _noise(accuracies)):
        if text := list(section):
            print("\n" + "\n".join(text))
    return 0


def _power(tables: Sequence[Published]) -> Iterator[str]:
    """Yield what the check of cells can find at all."""
    for table in tables:
        if not table.test_cases:
            yield f"table {table.table}: it does not say its test cases, so no cell can be found impossible"
            continue
        trials, cells = table.trials or 1, [v for values in table.rows.values() for v in values if v is not None]
        share = possible_share(table.test_cases, trials)
        what = f"means of {trials} runs" if trials > 1 else "single runs"
        if share > 0.99:
            yield (
                f"table {table.table}: no power to check cells: any number with two decimals is among the {what} on "
                f"{table.test_cases:,} cases; only its differences are checked"
            )
            continue
        fits = sum(bool(possible(value, table.test_cases, trials)) for value in cells)
        told = (
            f"table {table.table}: {fits} of {len(cells)} cells can be {what} on {table.test_cases} cases, as "
            f"{share:.1%} of all numbers can (p {uncertainty.binomial_tail(fits, len(cells), share):.0e})"
        )
        if trials == 1 and (several := max(one.trials or 1 for one in tables)) > 1:
            means = possible_share(table.test_cases, several)
            told += (
                f", and {share / means:.0%} of means of {several} runs "
                f"(p {uncertainty.binomial_tail(fits, len(cells), share / means):.0e})"
            )
        yield told


def _equal(tables: Sequence[Published]) -> Iterator[str]:
    """Methods that print the same numbers, beside how often chance makes them."""
    for table in tables:
        chance = uncertainty.equal_by_chance(table)
        for one, other, columns in uncertainty.equal_cells(table):
            both = sum(None not in pair for pair in zip(table.rows[one], table.rows[other], strict=True))
            where = ", ".join(map(conventions.model_title, columns))
            said = f"; by chance about {chance * both:.2g} would" if chance == chance else ""
            yield (
                f"table {table.table}: {conventions.method(one)} and {conventions.method(other)} print the same in "
                f"{len(columns)} of {both} columns ({where}){said}"
            )


def _noise(tables: Sequence[Published]) -> Iterator[str]:
    """Each difference row by row, then what they rest on."""
    claims = [claim for table in tables for claim in uncertainty.claims(table)]
    if not claims:
        return
    for table in tables:
        if differences := uncertainty.placebos(table):
            size = uncertainty.root_mean_square(differences)
            mine = [one.placebos for one in claims if one.table == table.table and one.method in uncertainty.GAPOS]
            told = f"; GAPO's are {min(mine):.1f} to {max(mine):.0f} times that, median {statistics.median(mine):.0f}"
            yield f"table {table.table}: {len(differences)} placebo differences, rms {size:.2f}{told if mine else ''}"
    yield ""
    yield from _aligned(claims)
    yield ""
    yield from (f"- {' '.join(text.split())}" for text in ASSUMPTIONS)


def _aligned(claims: Sequence[Claim]) -> list[str]:
    sds = [f"z, sd {sd:g}" for sd in SEED_SDS]
    head = ["table", "difference", "on", "points", "x placebo", "seed sd", *sds, "cases", "least p", "stands out"]
    rows = [head, *map(_row, claims)]
    width = [max(len(row[i]) for row in rows) for i in range(len(head))]
    left = (1, 2, len(head) - 1)
    return [
        "  ".join((text.ljust if i in left else text.rjust)(width[i]) for i, text in enumerate(row)).rstrip()
        for row in rows
    ]


def _row(claim: Claim) -> list[str]:
    name = f"{conventions.method(claim.method)} over {conventions.method(claim.baseline)}"
    is_mean = claim.cases is None
    times = f"{claim.placebos:.1f}" if claim.placebos == claim.placebos else "-"
    return [
        claim.table,
        name,
        conventions.model_title(claim.column),
        f"{claim.value:+.2f}",
        times,
        f"{claim.largest_sd:.2f}" if is_mean else "-",
        *(f"{uncertainty.z(claim, sd):.1f}" if is_mean else "-" for sd in SEED_SDS),
        "-" if claim.cases is None else str(claim.cases),
        "-" if is_mean else f"{claim.p:.3f}",
        _said(claim),
    ]


def _said(claim: Claim) -> str:
    """In words: whatever the seeds, if they spread little, or not."""
    if claim.cases is not None:
        return "at best" if claim.p <= 0.05 else "no"
    at = [uncertainty.z(claim, sd) >= uncertainty.Z for sd in SEED_SDS]
    return "yes" if all(at) else f"if seed sd < {claim.largest_sd:.2f}" if at[0] else "no"
