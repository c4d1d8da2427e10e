"""Runs on a real SLURM cluster while jobs, nodes and processes are killed or warned: slurm/dev-cluster."""

from __future__ import annotations

import shutil
import sqlite3

import psutil
import pytest
from databases import give_database
from lab import TINY, science, wait_until
from slurm_lab import SlurmLab, dev_cluster, submitted, undisturbed

pytestmark = pytest.mark.usefixtures("cluster")
STEPS = 40
LONG = (f"rehearsal.steps={STEPS}", "rehearsal.seconds=0.3", "seed=0")


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> SlurmLab:
    return SlurmLab(tmp_path_factory.mktemp("slurm"))


@pytest.fixture(scope="module")
def disturbed(lab):
    """One run for each fault, all at the same time; the tests look at how each ended."""

    def start(study, *words, node=None):
        pin = [f"+cluster.sbatch.nodelist={node}"] if node else []
        assert submitted(lab.sweep(f"study={study}", f"+rehearsal.of={study}", *LONG, *words, *pin)) == 1

    start("crash", node="n3")
    job = lab.at_step("crash", 3).job
    dev_cluster("kill", "slurmd-n3")
    steps = [p for p in psutil.process_iter(["cmdline"]) if f"slurmstepd: [{job}." in " ".join(p.info["cmdline"] or [])]
    below = [child for step in steps for child in step.children(recursive=True)]
    for process in [*steps, *below]:
        process.kill()
    start("requeue", node="n1")
    lab.slurm("scontrol", "requeue", lab.at_step("requeue", 3).job)
    start("warning", node="n1")
    lab.slurm("scancel", "--signal=USR2", lab.at_step("warning", 3).job)
    start("container", f"cluster.container=[{without_slurm(lab)}]", node="n1")
    lab.slurm("scancel", "--signal=USR2", lab.at_step("container", 3).job)
    start("setup", "cluster.setup=['echo no module named cuda; exit 7']", node="n1")
    start("job_killed", node="n1")
    supervisor = psutil.Process(lab.at_step("job_killed", 3).process.pid)
    next(p for p in supervisor.children() if "gapo_lab.training.job" in p.cmdline()).kill()
    start("all_killed", node="n1")
    psutil.Process(lab.at_step("all_killed", 3).process.pid).kill()
    start("memory", "rehearsal.memory_mb=700", "cluster.memory=0.4", node="n1")
    start("preempted", node="n2")
    lab.at_step("preempted", 3)
    lab.slurm("sbatch", "--partition=urgent", "--nodelist=n2", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
    start("rest", node="n1")
    dev_cluster("start", "slurmd-n3")
    return lab


def without_slurm(lab: SlurmLab) -> str:
    """A container in small: what it is started with runs where there is no scontrol."""
    words = lab.cwd / "container"
    scontrol = shutil.which("scontrol")
    words.write_text(f'#!/bin/sh\nexec unshare --mount sh -c \'mount --bind /dev/null {scontrol}; exec "$@"\' - "$@"\n')
    words.chmod(0o755)
    return str(words)


@pytest.mark.parametrize("fault", ["requeue", "warning", "container", "preempted", "crash"])
def test_a_run_goes_on_by_itself_from_its_last_checkpoint(disturbed, fault):
    """scontrol requeue; the warning before a time limit, also where no scontrol is; preemption; a node that dies."""
    disturbed.finished(fault)
    folder = disturbed.one(fault)
    assert undisturbed(folder, 0, STEPS)
    first, *later = folder.attempts()
    assert later, "it was never interrupted"
    # at most the step that was cut short is done again
    assert later[0].rows()[0].step in (first.rows()[-1].step, first.rows()[-1].step + 1)
    assert folder.status().submission and folder.provenance().machine.slurm["SLURM_JOB_ID"]


def test_other_cells_go_on(disturbed):
    disturbed.finished("rest")
    assert len(disturbed.one("rest").attempts()) == 1


@pytest.mark.parametrize(
    ("fault", "says"),
    [("job_killed", "killed by signal 9"), ("all_killed", "SLURM: "), ("memory", "")],
)
def test_a_fault_ends_in_a_status_a_person_can_read(disturbed, fault, says):
    found = disturbed.until(fault, lambda s: all(v.state == "failed" for v in s.values()))
    (status,) = found.values()
    assert says in status.message and status.remedy
    assert status.cause == ("out of memory" if fault == "memory" else "killed")
    shown = disturbed.command("status", fault)
    assert "failed" in shown.stdout and status.cause in shown.stdout + status.message


def test_a_job_that_dies_before_its_run_starts_says_why(disturbed):
    found = disturbed.until("setup", lambda s: all(v.state == "failed" for v in s.values()))
    (status,) = found.values()
    assert status.message.startswith("no module named cuda\nSLURM: FAILED") and "cluster.setup" in status.remedy
    assert "no module named cuda" in disturbed.command("status", "setup").stdout
    assert disturbed.command("logs", disturbed.one("setup").key).stdout == "no module named cuda\n"


def test_the_same_command_retries_what_failed_and_only_that(disturbed):
    disturbed.until("all_killed", lambda s: all(v.state == "failed" for v in s.values()))
    again = disturbed.sweep("study=all_killed", "+rehearsal.of=all_killed", *LONG, "+cluster.sbatch.nodelist=n1")
    assert "retry" in again.stdout and submitted(again) == 1
    disturbed.finished("all_killed")
    assert undisturbed(disturbed.one("all_killed"), 0, STEPS)
    assert disturbed.command("retry", "job_killed").returncode == 0
    disturbed.finished("job_killed")
    assert undisturbed(disturbed.one("job_killed"), 0, STEPS)
    last = disturbed.sweep("study=all_killed", "+rehearsal.of=all_killed", *LONG)
    assert "1 run in 1 cell: 1 skip" in last.stdout and submitted(last) == 0


def test_a_run_of_a_node_that_went_down_is_queued_again(lab):
    """For some ten seconds only squeue knows it; then sacct has a second record, and the first says why."""
    words = ("study=down", "+rehearsal.of=down", *LONG, "+cluster.sbatch.nodelist=n2")
    assert submitted(lab.sweep(*words)) == 1
    lab.at_step("down", 3)
    # drained first: a node that is only down comes back by itself when it next registers (ReturnToService=2)
    lab.slurm("scontrol", "update", "nodename=n2", "state=drain", "reason=test")
    lab.slurm("scontrol", "update", "nodename=n2", "state=down", "reason=test")
    try:
        after = "requeued after node failure"
        found = lab.until("down", lambda s: all(v.message.startswith(after) for v in s.values()))
        assert {(status.state, status.remedy) for status in found.values()} == {("queued", "")}
        (status,) = found.values()
        wait_until(lambda: "PENDING" in lab.slurm("sacct", "-X", "-n", "-o", "State", "-j", status.job))
        assert all(one.message.startswith(after) for one in lab.states("down").values())
        assert f"queued: {after}" in lab.command("status", "down").stdout
    finally:
        lab.slurm("scontrol", "update", "nodename=n2", "state=resume")
    lab.finished("down")
    assert undisturbed(lab.one("down"), 0, STEPS)


def test_real_training_through_a_warning_and_a_requeue_ends_with_the_same_numbers(lab, finished, empty_mlflow):
    """The nano model, verl: exactly the metrics of the undisturbed run, and every step once in MLflow."""
    give_database(lab.cwd, empty_mlflow)
    done = lab.run("-m", *TINY, "cluster=dev", "study=real", "seed=0", tiny=False, **lab.conf)
    assert submitted(done) == 1
    folder = lab.one("real")
    assert folder.key == finished.folder().key
    lab.slurm("scancel", "--signal=USR2", lab.at_step("real", 1).job)
    lab.until("real", lambda s: len(folder.attempts()) == 2 and lab.at_step("real", 2))
    lab.slurm("scontrol", "requeue", folder.status().job)
    lab.finished("real")
    lab.left_the_queue(folder.status().job)
    assert science(folder.merged_metrics()) == science(finished.folder().merged_metrics())
    assert len(folder.attempts()) == 3
    with sqlite3.connect(lab.cwd / "mlflow.db") as db:
        rows = db.execute("select step, count(*) from metrics where key = 'train/reward' group by step").fetchall()
    assert rows == [(1, 1), (2, 1), (3, 1)]


def test_ray_over_two_nodes(lab):
    assert submitted(lab.sweep("study=two", "+rehearsal.of=two", "cluster.nodes=2", "seed=0")) == 1
    lab.finished("two")
    log = lab.one("two").attempts()[0].log_path.read_text()
    assert log.count("Ray node ") == 2
    left = [
        p
        for p in psutil.process_iter(["environ"])
        if str(lab.cwd) in str((p.info["environ"] or {}).get("GAPO_LAB_MEETING"))
    ]
    assert left == []


def test_ray_that_never_comes_up(lab):
    assert (
        submitted(
            lab.sweep("study=noray", "+rehearsal.of=noray", "cluster.nodes=2", "cluster.ray_patience=0.1", "seed=0")
        )
        == 1
    )
    found = lab.until("noray", lambda s: all(v.state == "failed" and v.cause for v in s.values()))
    (status,) = found.values()
    assert "Ray did not come up" in status.message and status.cause == "Ray did not start" and status.remedy
