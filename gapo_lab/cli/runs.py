"""The commands of ``python -m gapo_lab``. They start fast: only `evaluate` imports torch, only ``sync`` MLflow.

A command is a function that takes the parsed arguments and returns the exit code, and one entry in ``parser``.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

from rich.console import Console

from gapo_lab.cli import doctor, evaluate, show, status_rows, status_table, sweeps
from gapo_lab.cli.select import find_one, named
from gapo_lab.errors import RunFailed, UserError
from gapo_lab.launch import run_states
from gapo_lab.runs import studies
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.run_root import RunRoot
from gapo_lab.runs.status import State
from gapo_lab.tracking import uri
from gapo_lab.utils import command_line
from gapo_lab.utils.lab_command import lab_command
from gapo_lab.utils.prose import say
from gapo_lab.utils.text import type_and_line, without_colours
from gapo_lab.utils.without_gc import without_gc


def main(words: list[str] | None = None) -> int:
    """Run one command and return its exit code (`command_line.run`)."""
    return command_line.run(parser(), _without_multirun(sys.argv[1:] if words is None else words))


def _without_multirun(words: list[str]) -> list[str]:
    """Return the arguments of `plan` and `doctor` without -m. It can be between overrides, where argparse takes no
    option."""
    is_grid = "plan" in words or "doctor" in words
    return [word for word in words if word not in ("-m", "--multirun")] if is_grid else words


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(
        prog="python -m gapo_lab",
        description="See, follow and copy runs. To start one: gapo-lab run (or python -m gapo_lab.run).",
        epilog="Programs with their own --help: gapo-lab run | data | report | page | probe | replay | check",
    )
    out.add_argument("--root", type=Path, default=Path("runs"), help="where the run folders are (default: runs)")
    add = command_line.adder(out)

    one = add("status", status, "show the runs as a table")
    one.add_argument("study", nargs="?", help="a study, the key of a run, or all (default)")
    one.add_argument("--cells", action="store_true", help="show one line for each cell, without its runs")

    one = add("logs", logs, "show the log of a run's last attempt")
    one.add_argument("run", help="the key of a run, or its first characters")
    one.add_argument("-f", "--follow", action="store_true", help="follow the log while the run goes on")

    one = add("sync", sync, "copy runs to MLflow; safe to repeat (idempotent)")
    one.add_argument("run", nargs="?", default="all", help="the key of a run, a study, or all (default)")
    one.add_argument("--uri", help=f"MLflow's address (default: ${uri.VARIABLE} or, if it is not set, {uri.DEFAULT})")

    evaluate.add_words(
        add(
            "evaluate",
            evaluate.evaluate,
            "measure checkpoints of finished runs, or any model, on test sets: greedy and expected accuracy",
        )
    )

    sweeps.add(add)
    doctor.add(add)
    show.add(add)

    one = add("ui", ui, "start MLflow's web interface with the copied runs")
    one.add_argument("--uri", help=f"MLflow's address (default: ${uri.VARIABLE} or, if it is not set, {uri.DEFAULT})")
    one.add_argument("--port", type=int, default=5000, help="port of the web interface (default: 5000)")
    return out


# status


@without_gc()
def status(asked: argparse.Namespace) -> int:
    # names of runs hold no emoji, and the table of all that there are takes a while to import
    console = Console(emoji=False)
    with RunRoot(asked.root) as runs:
        folders = named(runs, asked.study)
        if not folders:
            console.print(f"no runs in {asked.root} (start one: python -m gapo_lab.run)", highlight=False)
            return 0
        found = run_states.read(asked.root, [folder.key for folder in folders], runs)
        study = asked.study if studies.of_study(asked.root, asked.study or "") else None
        table = status_rows.read(folders, found, time.time(), study)
    status_table.show(table, console, asked.cells)
    if any(one.unsure for one in found.values()):
        say(console, "SLURM does not answer: its jobs are shown as their run folders said last")
    return 0


# logs


def logs(asked: argparse.Namespace) -> int:
    folder = find_one(asked.root, asked.run)
    path = _log_of(folder)
    if not path.exists():
        follow = lab_command("watch", root=asked.root)
        raise UserError(f"{path} is not there. The run has written nothing yet: follow it with {follow}")
    with open(path, encoding="utf-8", errors="replace") as file:
        while True:
            over = folder.status().state is not State.RUNNING  # asked before reading: nothing is missed
            # to the end of a line: no code is cut
            while text := file.read(1 << 16) + file.readline():
                sys.stdout.write(text if sys.stdout.isatty() else without_colours(text))
            sys.stdout.flush()
            if over or not asked.follow:
                break
            time.sleep(0.5)
    _say_why_it_stopped(folder)
    return 0


def _say_why_it_stopped(folder: RunFolder) -> None:
    """Say on standard error what the log of a run that has stopped may lack: who was killed has written nothing."""
    from gapo_lab.launch import watch

    root = folder.path.parent
    status = run_states.read(root, [folder.key]).get(folder.key, folder.raw_status)
    if status.has_stopped:
        print(f"run {folder.key}: {status.state}", *watch.said(root, folder.key, status), sep="\n", file=sys.stderr)


def _log_of(folder: RunFolder) -> Path:
    """Return the log of a run's last attempt; or the output of its job, if that died before the run started."""
    from gapo_lab.launch import job_output

    attempts, before = folder.attempts(), folder.raw_status
    if before.state is State.QUEUED or not attempts:
        now = run_states.read(folder.path.parent, [folder.key]).get(folder.key, before)
        printed = job_output.path(folder.path.parent, folder.key, now)
        if printed and printed.exists() and (now.has_stopped or not attempts):
            return printed
    if not attempts:
        again = lab_command("watch", root=folder.path.parent)
        raise UserError(f"run {folder.key} has not started, so it has no log yet. Follow it with: {again}")
    return attempts[-1].log_path


# sync


def sync(asked: argparse.Namespace) -> int:
    with RunRoot(asked.root) as runs:
        folders = named(runs, asked.run)
    if not folders:
        print(f"no runs in {asked.root}")
        return 0
    from gapo_lab.tracking.copy_runs import copy_all

    address = uri.resolve(asked.uri)
    print(f"copying {len(folders)} run{'s' if len(folders) > 1 else ''} to {address}", flush=True)
    try:
        out = copy_all((RunFolder(folder.path) for folder in folders), address)
    except UserError:
        raise
    except Exception as error:
        raise RunFailed(
            f"MLflow at {address} cannot be reached ({type_and_line(error)}). Start it or set --uri, "
            "then give the same command again; the run folders keep everything"
        ) from error
    for path, result in out.items():
        if isinstance(result, Exception):
            print(f"{path.name}: not copied: {type_and_line(result)}", file=sys.stderr)
    failed = sum(isinstance(result, Exception) for result in out.values())
    print(f"{len(out) - failed} copied" + (f", {failed} not" if failed else ""))
    return 1 if failed else 0


# ui


def ui(asked: argparse.Namespace) -> int:
    import socket

    from gapo_lab.tracking import study_page

    address = uri.resolve(asked.uri)
    if uri.is_server(address):
        print(f"open {address}")
        return 0
    path = uri.sqlite_path(address)
    if path and not path.exists():
        later = lab_command("sync", root=asked.root)
        raise UserError(f"{path} is not there. Run something first, or copy runs to it: {later}")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", asked.port)) == 0:
            raise UserError(
                f"port {asked.port} is taken (MLflow's pages may be open already: "
                f"http://127.0.0.1:{asked.port}); take another: --port {asked.port + 1}"
            )
    command = uri.ui_command(address, asked.port)
    print(f"{shlex.join(command)}\nopen in a few seconds (Ctrl-C ends it):\nhttp://127.0.0.1:{asked.port}", flush=True)
    for study, pages in study_page.links(path).items() if path else ():
        print(f"study {study}, runs and curves:", flush=True)
        for page in pages:
            print(f"http://127.0.0.1:{asked.port}/{page}", flush=True)
    # Its background jobs are eight more processes, and nothing here uses them.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    os.execv(command[0], command)
    return 0


# Finding runs
