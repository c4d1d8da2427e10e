"""The paper's tables and figures for these runs: ``python -m analysis.report STUDY...``.

Reads run folders or MLflow, and writes .tex, .pdf, .png, .csv, .html and .parquet to reports/STUDY/.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gapo_lab.errors import UserError
from gapo_lab.tracking import uri as addresses
from gapo_lab.utils import command_line
from gapo_lab.utils.text import several

if TYPE_CHECKING:
    from analysis.report.options import Asked
    from analysis.tables.document import Document

ABOUT = (
    """The paper's tables and figures for a study's runs, with statistics: .tex .pdf .png .csv, and one HTML page."""
)
EXAMPLES = """examples:
  python -m analysis.report default
  python -m analysis.report table2 --against paper --spread
  python -m analysis.report table2 --rows algo,tau --metric val/ood/em --pick final"""


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(
        prog="python -m analysis.report",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    out.add_argument("studies", nargs="+", metavar="STUDY", help="the study's name")
    out.add_argument("--out", type=Path, metavar="FOLDER", help="the folder to write to (default: reports/STUDY)")
    out.add_argument("--markdown", type=Path, metavar="FILE", help="also write a Markdown page, with figures beside it")
    what = out.add_argument_group("what is shown")
    what.add_argument("--metric", help="show this metric, exactly as logged, instead of the study's main measure")
    what.add_argument("--rows", default="algo", metavar="NAME,...", help="parameters that are the rows (default: algo)")
    what.add_argument(
        "--cols", default="model", metavar="NAME,...", help="parameters that are the columns (default: model)"
    )
    what.add_argument("--where", nargs="+", default=[], metavar="NAME=VALUE", help="only runs with these parameters")
    what.add_argument(
        "--pick",
        help="how a run's curve becomes one number: dev (default if there is a dev set), final, best (biased upwards), "
        "peak or mean",
    )
    what.add_argument("--spread", action="store_true", help="show ± standard deviation over seeds in the tables")
    what.add_argument(
        "--seeds", type=int, metavar="N", help="require seeds 0 to N-1 in each cell (default: all seeds of the study)"
    )
    what.add_argument("--allow-incomplete", action="store_true", help="mark cells that lack seeds instead of stopping")
    what.add_argument("--against", choices=["paper"], help="show our numbers, the published ones and the difference")
    what.add_argument(
        "--test-cases", nargs="+", default=[], metavar="SET=N", help="sizes of the test sets: id=3897 ood=132"
    )
    what.add_argument(
        "--font",
        choices=["screen", "paper"],
        default="screen",
        help="font of the figures: screen (sans serif, default) or paper (STIX, like Times)",
    )
    more = out.add_argument_group("where things are")
    more.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="FOLDER", help="the run folders (default: runs)"
    )
    more.add_argument(
        "--source",
        choices=["runs", "mlflow"],
        help="read the run folders or their copies in MLflow (default: the run folders; MLflow with --uri, or if the "
        "study has no run folders)",
    )
    more.add_argument(
        "--uri",
        metavar="ADDRESS",
        help=f"read MLflow at this address (default address: ${addresses.VARIABLE} or, if unset, {addresses.DEFAULT})",
    )
    more.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="training data for Table 1 (default: those that the run folders name)",
    )
    more.add_argument("--no-figures", action="store_true", help="tables only")
    more.add_argument("--no-log", action="store_true", help="do not log the report to MLflow")
    return out


def asked_for(words: argparse.Namespace) -> Asked:
    from analysis.report.options import Asked

    where = _pairs("--where", words.where)
    cases = {}
    for name, text in _pairs("--test-cases", words.test_cases).items():
        if not text.isdigit() or int(text) == 0:
            raise UserError(f"--test-cases {name}={text}: not a number of cases. Give SET=N, as in id=3897")
        cases[name] = int(text)
    if words.seeds is not None and words.seeds < 1:
        raise UserError(f"--seeds {words.seeds}: not a number of seeds. Give 1 or more")
    axes = [tuple(part for part in text.split(",") if part) for text in (words.rows, words.cols)]
    for option, axis in zip(("--rows", "--cols"), axes, strict=True):
        if not axis:
            raise UserError(f"{option} is empty. Give parameters, such as algo or algo,tau")
    return Asked(
        studies=tuple(dict.fromkeys(words.studies)),
        metric=words.metric,
        rows=axes[0],
        columns=axes[1],
        pick=words.pick,
        spread=words.spread,
        allow_incomplete=words.allow_incomplete,
        seeds=words.seeds,
        where=where,
        against_paper=words.against == "paper",
        figures=not words.no_figures,
        cases=cases,
        runs_root=words.runs,
        data=words.data,
        font=words.font,
    )


def _pairs(option: str, words: Sequence[str]) -> dict[str, str]:
    out = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise UserError(f"{option} {word}: not NAME=VALUE. Give one, such as id=3897")
        out[name] = value
    return out


def default_folder(studies: Sequence[str]) -> Path:
    """Return ``reports/STUDY``. Characters that a file name cannot have become ``_``."""
    return Path("reports") / re.sub(r"[^\w.+ -]", "_", "+".join(studies)).strip(". ")[:100]


def main(words: list[str] | None = None) -> int:
    """Exit code 0, or 2 for a user's mistake."""
    try:
        asked = command_line.parse(parser(), words)
        _report(asked)
    except UserError as error:
        print(f"analysis: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read this went away (| head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _report(asked: argparse.Namespace) -> None:
    """Read, show on the terminal, write the files, and log them to MLflow."""
    from analysis.render import markdown
    from analysis.report import build, files, links, mlflow_log
    from analysis.sources import connect

    wanted, uri = asked_for(asked), addresses.resolve(asked.uri)
    source = connect.choose(wanted.studies, wanted.runs_root, asked.uri, asked.source, wanted.all_metrics)
    report = build.build(source, wanted)
    print(f"{several(len(report.selection.runs), 'run')} from {source.place}")
    _show(report.document)
    path = asked.out or default_folder(wanted.studies)
    to_runs = tuple(links.cell_links(report.selection, wanted.runs_root, path, uri))
    written = files.write(report, to_runs, path)
    print(f"{len(written)} files in {path}/: open {path}/report.html")
    if asked.markdown:
        print(f"{len(markdown.write(report.document, asked.markdown))} files for {asked.markdown}")
    if not asked.no_log:
        print(mlflow_log.log(uri, wanted.studies, path, written))


def _show(document: Document) -> None:
    """Print what a terminal shows of a report: its tables and its claims, without the statistics."""
    from analysis.render import plain_text

    for line in (*([document.notice] if document.notice else []), *document.missing):
        print(line)
    width = shutil.get_terminal_size((120, 40)).columns
    hidden = ("statistics", "comparisons", "against")
    shown = [plain_text.to_text(one, width) for one in document.tables if not one.name.startswith(hidden)]
    print("\n" + "\n\n".join(shown) + "\n")
    for line in document.cautions:
        print(line + "\n")
    if said := document.claims or document.verdicts:
        print("\n".join([*said, ""]))
