"""The commands for many runs: plan, watch, cancel, retry, forget, gc. Each returns its exit code."""

from __future__ import annotations

import argparse
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from gapo_lab.cli import archive, forget, grid
from gapo_lab.cli.select import chosen
from gapo_lab.errors import UserError
from gapo_lab.launch import run_states
from gapo_lab.runs import checkpoints, naming, study_leader
from gapo_lab.runs.checkpoints import Keep
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.naming import run_name
from gapo_lab.runs.run_root import RunRoot
from gapo_lab.runs.status import NEW, STOPPED, Cause, State, resumptions
from gapo_lab.utils import atomic_files
from gapo_lab.utils.lab_command import lab_command
from gapo_lab.utils.prose import say
from gapo_lab.utils.text import in_quotes, several
from gapo_lab.utils.without_gc import without_gc

SHOWN = 5  # runs named one by one
FIRST_RUN_EVERY = 0.5  # seconds between two looks for the first run of a study
Adder = Callable[..., argparse.ArgumentParser]


def add(one: Adder) -> None:
    """Put the commands into the parser; ``one(name, function, text)`` makes the parser of one."""
    words = one("plan", plan, "show what a sweep would do; start nothing")
    words.add_argument("--all", action="store_true", help="show every cell of a large plan")
    words.add_argument(
        "--from-verl",
        metavar="FILE.sh",
        help="plan what a launch script of verl trains, and print the equivalent GAPO Lab command",
    )
    words.add_argument("--show-sbatch", action="store_true", help="also print the batch scripts that SLURM would get")
    grid.add_words(words)
    words = one("watch", watch, "follow runs until they have ended; Ctrl-C stops watching, not the runs")
    words.add_argument("study", nargs="?", help="a study, or the key of a run (default: everything)")
    words = one("cancel", cancel, "stop queued and running runs; they can be resumed later")
    words.add_argument("study", help="a study, the key of a run, or all")
    words = one("retry", retry, "start failed, interrupted and cancelled runs again, on the same machine or cluster")
    words.add_argument("study", help="a study, the key of a run, or all")
    words = one("forget", forget.forget, "remove runs that ended before their first step")
    words.add_argument("study", help="a study, the key of a run, or all")
    words.add_argument(
        "--with-results", action="store_true", help="also remove unfinished runs that have metrics or a checkpoint"
    )
    words.add_argument("--dry-run", action="store_true", help="only print what would be removed")
    archive.add(one)
    words = one("gc", gc, "remove what finished runs no longer need: checkpoints, old code copies")
    words.add_argument("study", nargs="?", default="all", help="a study, the key of a run, or all (default)")
    words.add_argument(
        "--keep",
        choices=[*map(str, Keep)],
        help="which of their checkpoints to keep (default: the setting `keep` of each run)",
    )
    words.add_argument("--dry-run", action="store_true", help="only print what would be removed")


@without_gc()
def plan(asked: argparse.Namespace) -> int:
    from gapo_lab.launch import executor, older_texts
    from gapo_lab.planning.plan_table import show_plan
    from gapo_lab.search import auto_seeds, fair

    if asked.from_verl:
        from gapo_lab.cli import from_verl

        asked.overrides = from_verl.read(asked.from_verl, asked.overrides)
    words = grid.read(asked)
    console = Console()
    console = console if console.is_terminal else Console(width=120)
    if words.is_search:
        from gapo_lab.search import preview

        preview.show(words.words, console)
        return 0
    cells, later = words.cells(), ""
    if words.fair is not None:
        tuning, made = fair.plans(cells, words.fair, console)
        console.print(f"stage 1, {words.fair['by']} chooses each method's settings:", highlight=False)
        show_plan(tuning, console, everything=asked.all)
        console.print("stage 2, all methods at theirs (until they are known, at the first that is tried):")
    elif auto_seeds.is_asked(cells):
        made, later = auto_seeds.first_plan(cells)
    else:
        made = executor.plan_of(cells)
    show_plan(made, console, everything=asked.all)
    if later:
        say(console, later)
    older_texts.show(executor.root_of(made.runs), made.todo, console)
    refusal = executor.no_room(executor.root_of(made.runs), made.todo)
    if refusal:
        say(console, refusal)
    if asked.show_sbatch:
        scripts = executor.scripts(made)
        for script in scripts:
            print(f"\n{script}", end="")
        if not scripts:
            print("no batch script: nothing of this goes to SLURM (cluster=NAME)")
    return 2 if refusal or made.doing(executor.Action.INVALID) else 0


def watch(asked: argparse.Namespace) -> int:
    from gapo_lab.launch.watch import follow, summary_lines

    console = Console()

    def is_led() -> bool:
        return study_leader.is_led(asked.root, asked.study)

    def keys_now() -> list[str]:
        with RunRoot(asked.root) as runs:
            return chosen(runs, asked.study)

    _wait_for_runs(asked, console, is_led)
    keys = keys_now()
    with RunRoot(asked.root) as runs:
        common = [] if is_led() else naming.in_common(_specs(runs, keys))
    if common:
        say(console, f"all cells: {escape(' '.join(common))}")
    # a search, or a sweep in stages, adds runs as long as it lives
    more = keys_now if is_led() else (lambda: ())
    found = follow(asked.root, keys, console, tick=lambda: not is_led(), common=common, more=more)
    for text in summary_lines(asked.root, list(found), found):
        console.print(text, highlight=False)
    return 0 if all(status.state is State.FINISHED for status in found.values()) else 1


def _wait_for_runs(asked: argparse.Namespace, console: Console, is_led: Callable[[], bool]) -> None:
    """Wait for the first run of a study that a process leads and that has none yet."""
    told = False
    while is_led():
        with RunRoot(asked.root) as runs, suppress(UserError):
            if chosen(runs, asked.study):
                return
        if not told:
            what = f"study {asked.study}" if asked.study else f"{asked.root}"
            console.print(f"{what} has no run yet; its command is at work: waiting for the first", highlight=False)
        told = True
        time.sleep(FIRST_RUN_EVERY)


def _specs(runs: RunRoot, keys: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return one spec for each cell of these runs, if it can be read."""
    out: dict[str, Mapping[str, Any]] = {}
    for key in keys:
        with suppress(UserError):
            folder = runs.folder(key)
            out.setdefault(folder.cell, folder.spec)
    return list(out.values())


@without_gc()
def cancel(asked: argparse.Namespace) -> int:
    """Cancel all SLURM jobs with one scancel, and signal local processes to stop."""
    from gapo_lab.launch.cancel import end, until_ended

    with RunRoot(asked.root) as runs:
        found = run_states.read(asked.root, chosen(runs, asked.study), runs)
    ended = end(asked.root, found, Cause.CANCELLED)
    if not ended:
        print("nothing is queued or running")
        return 0
    again = resumptions(until_ended(asked.root, ended).values())
    retried = lab_command("retry", asked.study, root=asked.root)
    later = f"; the same command, or {retried}, {again}" if again else ""
    print(f"{several(len(ended), 'run')} cancelled{later}")
    return 0


def retry(asked: argparse.Namespace) -> int:
    """Start unfinished runs again, each with its original overrides."""
    from gapo_lab.config import search_path
    from gapo_lab.launch import executor

    with without_gc(), RunRoot(asked.root) as runs:
        keys = chosen(runs, asked.study)
        found = run_states.read(asked.root, keys, runs)
    again = [key for key in keys if found.get(key, NEW).state in (*STOPPED, State.NEW)]
    # what a search has stopped stays so, unless it is named
    pruned = [key for key in again if found.get(key, NEW).cause is Cause.PRUNED]
    if pruned and len(keys) > 1:
        again = [key for key in again if key not in pruned]
        one = lab_command("retry", pruned[0], root=asked.root)
        print(f"{several(len(pruned), 'pruned run')} left alone; to resume one: {one}")
    if not again:
        counts = Counter(found.get(key, NEW).state for key in keys)
        print("nothing to retry: " + ", ".join(f"{count} {state}" for state, count in counts.items()))
        return 0
    with without_gc():
        cells = [_in_root(asked.root, runs.folder(key).spec.get("overrides") or ()) for key in again]
        others = set(search_path.use(word for cell in cells for word in cell))
        wanted = executor.plan_of([tuple(word for word in cell if word in others) for cell in cells])
    for run in wanted.runs:
        if run.spec and run.key not in again:
            old = next(key for key in again if key not in {one.key for one in wanted.runs if one.spec})
            files = " or ".join(naming.texts(run.spec.as_dict())) or "a file that it names"
            raise UserError(
                f"{run.name}: {files} has changed, which makes it another run ({run.key}). Put the old text back "
                "(a copy is in the run folder, in files/) and retry; or give the command again, which trains with the "
                f"text as it is now, and remove the old run: "
                f"{lab_command('forget', old, '--with-results', root=asked.root)}"
            )
    executor.carry_out(wanted, skip_invalid=True)
    if left := len(wanted.doing(executor.Action.INVALID)):
        raise UserError(
            f"{left} of {len(again)} runs cannot be started with the overrides they had. See the plan above"
        )
    return 0


def _in_root(root: Path, overrides: Sequence[str]) -> tuple[str, ...]:
    """Return a run's overrides with the run root in which it lies now: its folder may have been moved, or be looked at
    from another working folder."""
    given = naming.given_overrides({"overrides": overrides}).get("run_root", "runs")
    if Path(given).absolute() == root.absolute():
        return tuple(overrides)
    others = [word for word in overrides if word.partition("=")[0].lstrip("+") != "run_root"]
    return (*others, f"run_root={in_quotes(str(root))}")


@without_gc()
def gc(asked: argparse.Namespace) -> int:
    """Remove checkpoints of finished runs; and submissions and code copies if no run is queued or running."""
    with RunRoot(asked.root) as runs:
        keys = chosen(runs, asked.study)
    with atomic_files.locked(asked.root / ".submit.lock"):  # a submitter may just be copying the code
        return _clean(asked, keys)


def _clean(asked: argparse.Namespace, keys: list[str]) -> int:
    with RunRoot(asked.root) as runs:
        found = run_states.read(asked.root, runs.keys(), runs)
        finished = [runs.folder(key) for key in keys if found.get(key, NEW).state is State.FINISHED]
        saved = [folder for folder in finished if folder.has("checkpoints")]
        keeps = {folder: Keep(asked.keep) if asked.keep else folder.keep() for folder in saved}
    spare = [path for folder, keep in keeps.items() for path in checkpoints.unneeded(folder.checkpoints, keep)]
    gone: list[Path] = []
    if not any(status.is_active for status in found.values()):
        gone += sorted((asked.root / ".code").glob("*"))
        gone += [p for p in sorted((asked.root / ".submissions").glob("*")) if time.time() - p.stat().st_mtime > 60]
    size = sum(_size(path) for path in spare + gone)
    if not asked.dry_run:
        for folder, keep in keeps.items():
            with atomic_files.writing(folder.checkpoints):
                checkpoints.retain(folder.checkpoints, keep)
        for path in gone:
            with atomic_files.writing(path):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = "would remove" if asked.dry_run else "removed"
    print(f"{done} {several(len(spare + gone), 'item')}, {size / 1e6:,.1f} MB")
    kept = [key for key in keys if found.get(key, NEW).has_stopped]
    for key in kept[:SHOWN]:
        name = run_name(RunFolder(asked.root / key).spec)
        print(f"kept: {key} {name} is {found[key].state} and can be resumed")
    if len(kept) > SHOWN:
        print(f"kept: {len(kept) - SHOWN} more that can be resumed")
    return 0


def _size(path: Path) -> int:
    paths = path.rglob("*") if path.is_dir() else [path]
    return sum(p.stat().st_size for p in paths if p.is_file())
