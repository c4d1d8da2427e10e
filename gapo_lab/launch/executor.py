"""Carries a plan out: shows it, claims its runs, hands them to the cluster, follows them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from gapo_lab.config.fast_compose import Composer
from gapo_lab.errors import Interrupted, RunFailed, UserError
from gapo_lab.launch import (
    code_snapshot,
    job_arrays,
    joined_runs,
    local_queue,
    older_texts,
    run_states,
    slurm,
    study_end,
    watch,
)
from gapo_lab.launch.local_queue import LocalQueue
from gapo_lab.launch.submission import Submission
from gapo_lab.paths import IMPORT_ROOT, PACKAGE
from gapo_lab.planning import disk, plan, user_files
from gapo_lab.planning.cluster import ClusterConfig
from gapo_lab.planning.past_runs import PastRuns
from gapo_lab.planning.plan import Action, Plan, Planned
from gapo_lab.planning.plan_table import in_common, show_plan
from gapo_lab.planning.same_but_seed import Texts
from gapo_lab.runs import spec_file, studies, summaries
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.forget import forget
from gapo_lab.runs.provenance import Origin
from gapo_lab.runs.run_root import RunRoot
from gapo_lab.runs.status import NEW, RunStatus, State, resumptions
from gapo_lab.utils import atomic_files
from gapo_lab.utils.dotted import unflatten
from gapo_lab.utils.lab_command import lab_command
from gapo_lab.utils.processes import Process
from gapo_lab.utils.prose import say
from gapo_lab.utils.stop_signals import interrupted_by_sigterm
from gapo_lab.utils.text import several

DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def plan_of(cells: Sequence[Sequence[str]]) -> Plan:
    """Return the plan of these cells (words of each run), over the run folders that are there."""
    return over_folders(plan.draft(cells))


def over_folders(drafted: Sequence[Planned]) -> Plan:
    """Return the plan of these runs, over the run folders that are there."""
    root = root_of(drafted)
    with RunRoot(root) as runs:
        return plan.make(drafted, partial(run_states.read, root, runs=runs), PastRuns(runs.folders()))


def plan_of_one(words: Sequence[str]) -> Planned:
    """Return the plan of one run. UserError where the words are those of a sweep."""
    composer = Composer()
    if composer.is_sweep(words):
        said = " ".join(words)
        raise UserError(f"{said}: is a sweep, not one run. Write: python -m gapo_lab.run -m {said}")
    (run,) = plan.draft([tuple(words)], composer)
    if run.spec is None:
        return run
    root = root_of([run])
    # what it will take is shown only of a run that is handed to a cluster, and reading all others takes a while
    times = None if run.cluster.is_local else measured(root)
    return plan.make([run], partial(run_states.read, root), times).runs[0]


def root_of(runs: Sequence[Planned]) -> Path:
    """Return the folder of the run folders, which all runs share. UserError where there are several, or it is no
    folder."""
    roots = {run.settings["run_root"] for run in runs if run.settings}
    if len(roots) > 1:
        raise UserError(f"run_root: a sweep has one folder for its runs, not {len(roots)} ({', '.join(sorted(roots))})")
    root = Path(roots.pop()) if roots else Path("runs")
    if root.exists() and not root.is_dir():
        raise UserError(f"run_root={root}: is taken by a file. Choose a folder")
    return root


def measured(root: Path) -> PastRuns:
    """Return the finished runs of this root, which say how long others will take."""
    with RunRoot(root) as runs:
        return PastRuns(runs.folders())


def carry_out(
    wanted: Plan, *, skip_invalid: bool = False, wait: bool = False, console: Console | None = None
) -> dict[str, dict[str, Any]]:
    """Show the plan and start what it has to start; the summaries of finished runs, by key.

    wait: stay until every run has ended; else only local runs are waited for. UserError where a cell is invalid
    (nothing is started then), RunFailed where a run failed or SLURM refused.
    """
    console = console or Console(width=None if Console().is_terminal else 120)
    show_plan(wanted, console)
    if not skip_invalid and (wrong := wanted.doing(Action.INVALID)):
        raise UserError(
            f"{len(wrong)} of {len(wanted.runs)} runs are invalid, so nothing was started. Fix the overrides above, or "
            "leave them out: hydra.sweeper.invalid=skip"
        )
    valid = [run for run in wanted.runs if run.spec and run.action != Action.INVALID]
    if not valid:
        return {}
    root = Path(valid[0].settings["run_root"])
    joined = joined_runs.joining(root, valid)
    found = _follow(root, valid, start(root, valid, console), wait, console, in_common(wanted))
    joined_runs.show(root, joined, valid, console)
    for text in study_end.lines(valid, {key: one for key, one in found.items() if one}, root, in_common(wanted)):
        say(console, text, markup=False)
    return found


def start(root: Path, runs: Sequence[Planned], console: Console) -> list[LocalQueue]:
    """Hand over those of the runs that are not finished, queued or running; the queues of those that run here."""
    return [LocalQueue(submission) for submission in hand_over(root, runs, console)]


def hand_over(root: Path, runs: Sequence[Planned], console: Console) -> list[Submission]:
    """Claim those of the runs that are not finished, queued or running, write everything down, and submit them.

    Returns what is for this machine and has not been started yet.
    """
    atomic_files.make_folder(root)
    with atomic_files.locked(root / ".submit.lock"):
        # someone else may have been faster since the plan was made
        todo = Plan(tuple(runs)).decided(run_states.read(root, [run.key for run in runs])).todo
        if refusal := no_room(root, todo):
            raise UserError(refusal)
        older_texts.show(root, [run for run in todo if not run.why], console)
        # two studies may share a run, whose folder names only the first
        studies.remember(root, ((run.valid_spec.study, run.key) for run in runs))
        submissions = [_submit(root, group, cluster, console) for group, cluster in job_arrays.of(todo)]
    for run in runs:
        summaries.be_about(RunFolder(root / run.key), run.settings["metric"])
    return [submission for submission in submissions if submission.cluster.is_local]


def no_room(root: Path, todo: Sequence[Planned]) -> str:
    """Why the checkpoints of these runs do not fit below `root`; '' where they do."""
    there = next(path for path in (root.absolute(), *root.absolute().parents) if path.exists())
    kept = [RunFolder(root / run.key).checkpoints for run in todo if run.why]
    # looking for files in a folder that is not there takes ten times as long
    used = sum(file.stat().st_size for one in kept if one.is_dir() for file in one.glob("global_step_*/actor/*.pt"))
    return disk.refusal(todo, shutil.disk_usage(there).free, used)


def _submit(root: Path, runs: Sequence[Planned], cluster: ClusterConfig, console: Console) -> Submission:
    """Write everything down, then start it."""
    if not cluster.is_local:
        slurm.require()
    submission = _submission(root, runs, cluster, code_snapshot.take(root), Origin.here(IMPORT_ROOT))
    submission.write()
    # what the folders said before, None where there was none
    before = {} if cluster.is_local else {run.key: _said(root / run.key) for run in runs}
    # the shipped files that a config names are those of the copy, too
    shipped, copied = str(PACKAGE), str(submission.code / PACKAGE.name)
    texts = Texts(lambda settings: spec_file.as_yaml(unflatten(settings), DUMPER).replace(shipped, copied))
    here: dict[str, Any] = {"process": Process.here()}
    for task, run in enumerate(runs):
        fields = here if cluster.is_local else {"submission": submission.name, "task": task}
        _prepare(root, run, texts, submitted=submission.time, **fields)
    if cluster.is_local:
        return submission
    try:
        job = slurm.submit(submission)
    except RunFailed:
        _withdraw(submission, before)
        raise
    Submission(**{**vars(submission), "job": job}).write()
    cap = f", at most {cluster.max_parallel} at a time" if len(runs) > cluster.max_parallel else ""
    console.print(f"submitted {several(len(runs), 'run')} as SLURM job {job}{cap}", highlight=False)
    return submission


def _submission(root: Path, runs: Sequence[Planned], cluster: ClusterConfig, code: Path, origin: Origin) -> Submission:
    """Return the submission of runs that ask for the same resources."""
    settings = runs[0].settings
    return Submission.new(
        root,
        [run.key for run in runs],
        cluster=cluster,
        code=code,
        on_finish=settings["on_finish"],
        study=settings["study"],
        comment=_cells(runs),
        origin=origin,
    )


def scripts(wanted: Plan) -> list[str]:
    """Return the batch scripts that carrying this plan out would hand to SLURM; starts and writes nothing."""
    todo = [run for run in wanted.todo if not run.cluster.is_local]
    if not todo:
        return []
    root = Path(todo[0].settings["run_root"])
    return [
        slurm.script(_submission(root, runs, cluster, code_snapshot.folder(root), Origin()))
        for runs, cluster in job_arrays.of(todo)
    ]


def _cells(runs: Sequence[Planned]) -> str:
    """Return what a job computes, in a line: the name of its cell, and how many more it has."""
    names = list(dict.fromkeys(run.name for run in runs))
    return names[0] + (f" and {several(len(names) - 1, 'more cell')}" if len(names) > 1 else "")


def _said(path: Path) -> RunStatus | None:
    return RunFolder(path).raw_status if (path / "spec.yaml").exists() else None


def _withdraw(submission: Submission, before: Mapping[str, RunStatus | None]) -> None:
    """Leave everything as it was before a submission that was refused."""
    for key, said in before.items():
        if said is not None:
            RunFolder(submission.root / key).restore(said)
    forget(submission.root, [key for key, said in before.items() if said is None])
    submission.path.unlink(missing_ok=True)
    shutil.rmtree(submission.logs, ignore_errors=True)


def _prepare(root: Path, run: Planned, texts: Texts, **fields: Any) -> RunFolder:
    """Return the run folder, ready to be worked on by whoever is given it. fields: of its status."""
    folder = RunFolder.open(root, run.key, run.valid_spec.as_dict())
    copies = user_files.copy(run.settings, folder.path)
    folder.write_config(texts.of({**run.settings, **copies} if copies else run.settings))
    if steps := run.settings.get("trainer.total_training_steps"):
        fields["total_steps"] = steps
    folder.queue(**fields)
    return folder


def _follow(
    root: Path,
    runs: Sequence[Planned],
    queues: Sequence[LocalQueue],
    wait: bool,
    console: Console,
    common: Sequence[str],
) -> dict[str, dict[str, Any]]:
    keys = [run.key for run in runs]
    here = [run.key for run in runs if run.cluster.is_local]
    followed = keys if wait else here

    def tick() -> bool:
        for queue in queues:
            queue.poll()
        return all(queue.over for queue in queues)

    found: Mapping[str, RunStatus] = {}
    if followed:
        expected = {run.key: run.seconds for run in runs if run.seconds and run.key in followed}
        with interrupted_by_sigterm():
            try:
                found = watch.follow(root, followed, console, tick, expected=expected, common=common)
            except (KeyboardInterrupt, Interrupted) as stop:
                local_queue.stop(queues, stop, console)
                raise Interrupted(_stopped(root, queues)) from stop
    study = runs[0].valid_spec.study
    if len(followed) < len(keys):
        what = study if len(runs) > 1 else runs[0].key
        again = lab_command("watch", what, root=root)
        say(console, f"to follow, from any shell: {again}")
    bad = [key for key in followed if found.get(key, NEW).state is not State.FINISHED]
    if bad:
        raise RunFailed(
            f"{len(bad)} of {len(followed)} runs did not finish ({', '.join(bad[:5])}). See them with: "
            f"{lab_command('status', study, root=root)}; the same command starts those and only those again"
        )
    return {key: RunFolder(root / key).summary() or {} for key in keys if key in run_states.existing(root, keys)}


def _stopped(root: Path, queues: Sequence[LocalQueue]) -> str:
    """Return what the same command does, now that the runs of these queues have been stopped."""
    found = run_states.read(root, [key for queue in queues for key in queue.submission.keys])
    again = resumptions(found.values())
    return f"stopped; the same command {again}" if again else "stopped; every run had finished"
