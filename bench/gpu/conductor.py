"""Runs the stages: groups one after the other, the stages of a group side by side, each until its own limit."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.gpu.findings import DONE, FAILED, LATE, NOT_RUN, Ending, Notebook
from gapo_lab.paths import IMPORT_ROOT
from gapo_lab.utils.import_path import importing_from

POLL_SECONDS = 0.5
# A stage that is told to end gets this long to end its runs.
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Stage:
    """A name, the seconds it may take, and the command that carries it out."""

    name: str
    limit: float
    command: tuple[str, ...]


def stage(name: str, limit: float, out: Path) -> Stage:
    """Return a stage of this package: a function `run(form, notebook)` in the module of its name."""
    return Stage(name, limit, (sys.executable, "-m", "bench.gpu.stage_process", name, str(out)))


@dataclass
class _Running:
    stage: Stage
    process: subprocess.Popen
    began: float
    seen: dict[int, psutil.Process] = field(default_factory=dict)

    def look(self) -> None:
        """Note the processes below it: a child whose parent has ended is no longer found there."""
        try:
            below = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return
        self.seen |= {child.pid: child for child in below}

    def end(self) -> None:
        """End it and what it has started: politely, so that it can end its runs itself, then by pid."""
        self.look()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self.look()
                self.process.kill()
                self.process.wait()
        for child in self.seen.values():
            if child.is_running():  # psutil knows a pid that another process has got
                child.kill()
        psutil.wait_procs(list(self.seen.values()), timeout=5)


def conduct(
    groups: Sequence[Sequence[Stage]], out: Path, seconds: float, after_each: Callable[[Ending], None] = lambda _: None
) -> None:
    """Carry out all stages within so many seconds in all, and write down how each ended.

    A stage whose turn comes when no time is left is `not run`; one that failed or was late stops no other.
    """
    until = time.monotonic() + seconds
    notebook = Notebook(out)

    def say(ending: Ending) -> None:
        notebook.write(ending)
        after_each(ending)

    for group in groups:
        running: list[_Running] = []
        try:
            for one in group:
                if time.monotonic() >= until:
                    say(Ending(one.name, NOT_RUN, why="no time was left"))
                    continue
                running.append(_start(one, out))
            while running:
                time.sleep(POLL_SECONDS)
                for each in list(running):
                    each.look()
                    if ending := _ending(each, out, until):
                        each.end()
                        running.remove(each)
                        say(ending)
        finally:
            for each in running:
                each.end()


def _start(one: Stage, out: Path) -> _Running:
    with open(out / f"{one.name}.log", "ab") as log:
        process = subprocess.Popen(
            one.command,
            env={**os.environ, **importing_from(IMPORT_ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return _Running(one, process, time.monotonic())


def _ending(each: _Running, out: Path, until: float) -> Ending | None:
    """How it has ended; None while it may go on."""
    now, code = time.monotonic(), each.process.poll()
    spent = now - each.began
    if code is not None:
        why = "" if code == 0 else f"exit code {code}: {last_line(out / f'{each.stage.name}.log')}"
        return Ending(each.stage.name, FAILED if code else DONE, spent, why)
    if spent > each.stage.limit:
        return Ending(each.stage.name, LATE, spent, f"its limit is {each.stage.limit:.0f} s")
    if now > until:
        return Ending(each.stage.name, LATE, spent, "no time was left")
    return None


def last_line(log: Path) -> str:
    """Return the last line of a log that says something; cut to what a table can hold."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"
