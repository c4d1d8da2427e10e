"""The commands of ``python -m gapo_lab.data``: mine, import, describe, validate. Each imports only what it needs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gapo_lab.cli import data_import, data_validate
from gapo_lab.data.user_rows import sets
from gapo_lab.errors import UserError
from gapo_lab.utils import command_line


def main(words: list[str] | None = None) -> int:
    """Run one command and return its exit code (`command_line.run`)."""
    return command_line.run(parser(), words, "stopped. The same command resumes after what is finished")


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(
        prog="python -m gapo_lab.data",
        description="Make examples to train on: mine git histories, or import a data set.",
    )
    add = command_line.adder(out)

    one = add("mine", mine, "make training and ID test examples from the histories of git repositories")
    one.add_argument("repos", nargs="+", metavar="REPO", help="a repository on this machine, bare or not")
    one.add_argument("--out", type=Path, default=Path("data/mined"), help="folder to write to (default: data/mined)")
    one.add_argument("--since", metavar="DATE", help="commits from this day on, such as 2020-01-31")
    one.add_argument("--until", metavar="DATE", help="commits before this day")
    one.add_argument("--max-per-repo", type=int, metavar="N", help="take the newest N examples of each repository")
    one.add_argument("--workers", type=int, metavar="N", help="number of processes (default: the number of cores)")
    one.add_argument(
        "--min-chars", type=int, default=36, metavar="N", help="shortest reference answer (characters; default: 36)"
    )
    one.add_argument(
        "--max-chars", type=int, default=833, metavar="N", help="longest reference answer (characters; default: 833)"
    )
    one.add_argument(
        "--no-change",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of examples in which nothing should change (default: 0)",
    )
    one.add_argument(
        "--private",
        default="drop",
        metavar="HOW",
        help="examples with keys, tokens or e-mail addresses: drop (default), mask, keep",
    )
    one.add_argument(
        "--wish",
        default="auto",
        metavar="HOW",
        help="the user's wish: auto (default; the commit's subject, if it says what to do), subject (always) or none",
    )
    one.add_argument(
        "--split",
        default="time",
        metavar="HOW",
        help="how the ID test set is chosen: time (default; the newest of each repository) or repository (whole ones)",
    )
    one.add_argument(
        "--id-share", type=float, default=0.07, metavar="SHARE", help="size of the ID test set (default: 0.07)"
    )
    one.add_argument(
        "--test-repo",
        action="append",
        default=[],
        metavar="NAME",
        help="with --split repository: a repository of the test set; may be given several times",
    )
    one.add_argument("--keep-near", action="store_true", help="keep near-duplicates of the test set in training")
    one.add_argument(
        "--leaks",
        default="report",
        metavar="HOW",
        help="test examples whose reference answer is in the training code verbatim: report (default) or drop",
    )
    one.add_argument("--template", metavar="FILE", help="prompt template (default: the built-in one)")
    one.add_argument(
        "--window", type=int, default=6000, metavar="N", help="characters of code in a prompt (default: 6000)"
    )
    one.add_argument(
        "--history",
        type=int,
        default=8000,
        metavar="N",
        help="characters of earlier edits in a prompt; the latest edits are kept (default: 8000)",
    )

    one = add(
        "import", data_import.command, "make files for data=parquet of gsm8k, math, humaneval, mbpp, or any JSON lines"
    )
    data_import.add_to(one)

    one = add(
        "describe",
        describe,
        "write the paper's Table 1 of these examples beside the data (FILE.table.txt, .csv, .tex); show one example",
    )
    one.add_argument("path", type=Path, help="a folder that mine or import made, or any .parquet or .jsonl file")
    one.add_argument("--example", type=int, default=0, metavar="ROW", help="which example to show (default: 0)")
    one.add_argument("--out", type=Path, help="folder to write the tables to (default: beside the data)")
    _add_keys(one)

    one = add("validate", data_validate.command, "check files before a job is submitted")
    one.add_argument("path", type=Path, help="a folder, or a .parquet or .jsonl file")
    one.add_argument(
        "--model",
        metavar="MODEL",
        help="a model as model= takes it (a built-in name, a folder, OWNER/NAME): also check that every row fits the "
        "limits",
    )
    one.add_argument("--max-prompt-length", type=int, default=8192, metavar="N", help="limit in tokens (default: 8192)")
    one.add_argument("--max-response-length", type=int, default=512, metavar="N", help="limit in tokens (default: 512)")
    _add_keys(one)
    return out


# mine


def mine(asked: argparse.Namespace) -> int:
    from gapo_lab.data.mining import dataset
    from gapo_lab.data.mining.rules import Rules

    if asked.workers is not None and asked.workers < 1:
        raise UserError(f"--workers {asked.workers}: not 1 or above. Give the number of processes")
    options = dataset.Options(
        rules=Rules(asked.min_chars, asked.max_chars, asked.no_change, asked.private, asked.wish),
        since=asked.since,
        until=asked.until,
        max_per_repo=asked.max_per_repo,
        split=asked.split,
        id_share=asked.id_share,
        test_repos=tuple(asked.test_repo),
        near=not asked.keep_near,
        leaks=asked.leaks,
        template=asked.template,
        window=asked.window,
        history=asked.history,
    )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("commits, {task.fields[tasks]:,} examples"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    try:
        about = dataset.make(asked.repos, asked.out, options, asked.workers, lambda work: _follow(bar, work))
    finally:
        bar.stop()
    print(report(about, asked.out))
    return 0


def _follow(bar: Progress, work: Sequence[Any]) -> Callable[[Any, int], None]:
    shown = bar.add_task("mining", total=sum(len(chunk.commits) for chunk in work), tasks=0)
    total = 0
    bar.start()

    def done(chunk: Any, tasks: int) -> None:
        nonlocal total
        total += tasks
        bar.update(shown, advance=len(chunk.commits), tasks=total)

    return done


def report(about: dict[str, Any], out: Path) -> str:
    """Return what was mined, what was left out, and what leaks, for a terminal."""
    from gapo_lab.data.mining.rules import by_kind

    width = max(len(repo["name"]) for repo in about["repositories"])
    text = [
        f"{repo['name'].ljust(width)}  {repo['tasks']:>7,} examples of {repo['commits']:,} commits   "
        f"{repo['licence'] or 'no licence file'}"
        for repo in about["repositories"]
    ]
    longest = max(map(len, about["drops"]), default=0)
    for kind, drops in by_kind(about["drops"]).items():
        text += [f"{kind} left out:"] + [f"  {reason.ljust(longest)}  {count:>9,}" for reason, count in drops.items()]
    leaks = about["leaks"]
    found, truths = leaks["verbatim_in_training_code"], leaks["test_truths"]
    text += [
        f"leaks: {found:,} of {truths:,} reference answers of the test set ({found / max(1, truths):.1%}) are in the "
        "training code verbatim" + (", left out" if leaks["then"] == "drop" else ""),
        f"{about['rows']['train']:,} examples to train on, {about['rows']['id']:,} to test, content {about['digest']}",
        f"{out}/train.parquet, id.parquet, about.json",
    ]
    return "\n".join(text)


# describe


def describe(asked: argparse.Namespace) -> int:
    from gapo_lab.data import length_table as tables
    from gapo_lab.data.tasks import parquet_columns
    from gapo_lab.utils import atomic_files

    paths = parquet_columns.find(asked.path)
    folder = asked.out or paths[0].parent
    atomic_files.make_folder(folder)
    for path in paths:
        lines = tables.table(path, data_validate.keys(asked))
        print(f"{path}\n\n{tables.as_text(lines)}")
        caption = f"Statistics of {path.stem}: lengths of prompts and of reference answers in characters."
        atomic_files.write_text(folder / f"{path.stem}.table.txt", tables.as_text(lines))
        atomic_files.write_text(folder / f"{path.stem}.table.csv", tables.as_csv(lines))
        atomic_files.write_text(folder / f"{path.stem}.table.tex", tables.as_latex(lines, caption))
    print("written: " + ", ".join(f"{folder}/{path.stem}.table.{{txt,csv,tex}}" for path in paths) + "\n")
    _example(paths[0], asked.example, data_validate.keys(asked))
    return 0


def _example(path: Path, number: int, keys: dict[str, str]) -> None:
    from gapo_lab.data import task_view
    from gapo_lab.data.tasks import parquet_columns, parquet_rows
    from gapo_lab.data.user_rows import usual_form

    file = usual_form.open_file(path, keys)
    if not 0 <= number < file.metadata.num_rows:
        raise UserError(f"--example {number}: {path.name} has rows 0 to {file.metadata.num_rows - 1}")
    for batch in parquet_columns.batches(file, file.schema_arrow.names):
        if number < len(batch):
            row = batch.slice(number, 1).to_pylist()[0]
            break
        number -= len(batch)
    console = Console()
    if row.get("task"):
        task_view.show(parquet_rows.task(row), console)
        return
    # a file of somebody else's: the prompt as it is
    for message in row["prompt"]:
        console.print(f"[{message.get('role')}]", style="bold", markup=False)
        console.print(task_view.plain(message["content"]), markup=False, highlight=False)
    console.print("[reference answer]", style="bold", markup=False)
    truth = row["reward_model"]["ground_truth"]
    shown = truth if isinstance(truth, str) else json.dumps(truth, ensure_ascii=False, indent=2, default=str)
    console.print(task_view.plain(shown), markup=False, highlight=False)


def _add_keys(parser: argparse.ArgumentParser) -> None:
    """Add the options for columns that have other names than `data=parquet` expects."""
    for key, usual in sets.USUAL.items():
        parser.add_argument(
            f"--{key.replace('_', '-')}",
            default=usual,
            metavar="COLUMN",
            help=f"the column, as data.{key} of data=parquet names it (default: {usual})",
        )
