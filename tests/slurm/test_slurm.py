"""Sweeps on a real SLURM cluster of three nodes: slurm/dev-cluster. Skipped, and said so, without root or packages."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time

import psutil
import pytest
from lab import TINY, science
from slurm_lab import SlurmLab, dev_cluster, undisturbed

from gapo_lab.runs.folder import RunFolder

pytestmark = pytest.mark.usefixtures("cluster")
STEPS = 40
LONG = (f"rehearsal.steps={STEPS}", "rehearsal.seconds=0.3", "seed=0")


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> SlurmLab:
    return SlurmLab(tmp_path_factory.mktemp("slurm"))


def submitted(done: subprocess.CompletedProcess) -> int:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.count("submitted ")


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
    disturbed.finished(fault, 400)
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


def plain(script: str) -> str:
    """A batch script without the submission's random name."""
    return re.sub(r"gapo-[0-9a-f]{8}", "NAME", script)


def test_one_array_for_each_resource_shape_and_runs_are_shared(lab):
    shell = {"SBATCH_PARTITION": "nowhere", "SLURM_JOB_ID": "1", "SLURM_MEM_PER_NODE": "1"}
    words = ("study=a", "algo=grpo,gapo_grpo", "tau=0.1,0.5", "cluster.cpus=1,2", "seed=0,1")
    shown = lab.command("plan", "--show-sbatch", "scale=rehearsal", "cluster=dev", *words).stdout
    first = lab.sweep(*words, **shell)
    assert submitted(first) == 1  # the key does not see cpus: the six runs have one shape
    found = {path.read_text() for path in lab.root.glob(".submissions/*/*.sh")}
    (script,) = (text for text in found if "job-name=a\n" in text)
    assert plain(script) == plain(shown[shown.index("#!") :]) and "--cpus-per-task=1 " in script
    second = lab.sweep("study=b", "algo=gapo_grpo,dapo", "tau=0.1", "seed=0,1")
    assert "2 attach" in second.stdout or "2 skip" in second.stdout
    lab.finished("a"), lab.finished("b")
    assert len(set(lab.keys("a")) & set(lab.keys("b"))) == 2
    assert all(len(RunFolder(lab.root / key).attempts()) == 1 for key in {*lab.keys("a"), *lab.keys("b")})
    assert lab.command("status", "b").stdout.endswith(": 4 finished\n")
    assert lab.command("watch", "b").returncode == 0


def test_two_submitters_at_the_same_moment_start_a_run_once(lab):
    words = ("study=twice", "algo=grpo,dapo", "+rehearsal.of=twice", "seed=range(4)")
    both = [lab.start_sweep(*words) for _ in range(2)]
    outs = [process.communicate(timeout=400) for process in both]
    assert [process.returncode for process in both] == [0, 0], outs
    assert sum(out.count("submitted ") for out, _ in outs) == 1, outs
    lab.finished("twice")
    assert all(len(RunFolder(lab.root / key).attempts()) == 1 for key in lab.keys("twice"))


def test_a_killed_submitter_loses_nothing(lab):
    """It dies right after its sbatch, before it could write the job's number down."""
    words = ("study=orphan", "+rehearsal.of=orphan", "seed=range(3)")
    process = lab.start_sweep(*words)
    end = time.monotonic() + 60
    while not list(lab.root.glob(".submissions/*.json")) or not lab.keys("orphan"):
        assert time.monotonic() < end
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for _ in range(3):
        assert lab.sweep(*words).returncode == 0
        time.sleep(3)
    lab.until("orphan", lambda s: all(v.state in ("finished", "failed", "interrupted") for v in s.values()), 180)
    assert lab.sweep(*words).returncode == 0
    lab.finished("orphan")
    assert all(
        undisturbed(RunFolder(lab.root / key), RunFolder(lab.root / key).spec["seed"], 5) for key in lab.keys("orphan")
    )


def test_the_job_runs_the_code_as_it_was_at_submission(lab):
    """A change to the package after submission reaches the next submission, not this one."""
    lab.sweep("study=code", "+rehearsal.of=code", "seed=0")
    lab.finished("code")
    record = json.loads(
        next(
            p
            for p in lab.root.glob(".submissions/*.json")
            if '"code"' in p.read_text() and json.loads(p.read_text())["study"] == "code"
        ).read_text()
    )
    (script,) = (lab.root / ".submissions" / record["name"]).glob("*.sh")
    assert "#SBATCH --job-name=code" in script.read_text() and "wckey" not in script.read_text()
    folder = lab.one("code")
    assert record["code"].startswith(str(lab.root / ".code")) and record["origin"]["git"]
    assert folder.config()["model"]["path"].startswith(record["code"])
    assert list(folder.provenance().origin.command) == record["origin"]["command"]


def test_sbatch_refusing_is_one_line_and_nothing_is_lost(lab):
    words = ("study=refused", "+rehearsal.of=refused", "seed=0")
    done = lab.sweep(*words, "cluster.partition=nowhere")
    assert done.returncode == 1
    assert "SLURM refused" in done.stderr and "partition" in done.stderr and len(done.stderr.splitlines()) == 1
    # nothing stays of it
    assert lab.states("refused") == {} and not lab.keys("refused")
    records = [json.loads(path.read_text())["study"] for path in lab.root.glob(".submissions/*.json")]
    assert "refused" not in records
    assert submitted(lab.sweep(*words)) == 1
    lab.finished("refused")


def test_one_run_goes_to_the_cluster_too(lab):
    """Without -m, and from a login node: nothing of it runs here."""
    told = lab.cwd / "told_alone"
    words = (
        "scale=rehearsal",
        "cluster=dev",
        "study=alone",
        "+rehearsal.of=alone",
        f"on_finish='echo $GAPO_LAB_STUDY >> {told}'",
    )
    done = lab.run(*words, tiny=False, **lab.conf)
    assert done.returncode == 0 and "submitted 1 run as SLURM job" in done.stdout, done.stdout + done.stderr
    folder = lab.one("alone")
    assert f"gapo_lab watch {folder.key}" in done.stdout
    lab.finished("alone")
    assert folder.status().job and folder.provenance().machine.slurm["SLURM_JOB_ID"]
    again = lab.run(*words, tiny=False, **lab.conf)
    assert again.returncode == 0 and "1 skip" in again.stdout
    end = time.monotonic() + 20
    while not told.exists():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_a_refused_retry_leaves_what_was_there(lab):
    words = ("study=again", "+rehearsal.of=again", "rehearsal.steps=200", "seed=0")
    assert submitted(lab.sweep(*words)) == 1
    lab.at_step("again", 2)
    assert lab.command("cancel", "again").returncode == 0
    folder = lab.one("again")
    lab.left_the_queue(folder.raw_status.job)
    before, rows = folder.raw_status, folder.attempts()[0].rows()
    assert lab.sweep(*words, "cluster.partition=nowhere").returncode == 1
    assert folder.raw_status == before and folder.attempts()[0].rows() == rows and lab.keys("again") == [folder.key]


def test_squeue_shows_the_study_and_each_jobs_run(lab):
    words = ("study=seen", "+rehearsal.of=seen", "rehearsal.steps=200", "algo=grpo,dapo", "seed=0")
    assert submitted(lab.sweep(*words)) == 1
    lab.until("seen", lambda s: all(v.step for v in s.values()))
    jobs = lab.slurm("squeue", "-h", "--name=seen", "-o", "%j|%k").splitlines()
    assert sorted(jobs) == [f"seen|nano {algo} scale=rehearsal of=seen steps=200 seed=0" for algo in ("dapo", "grpo")]
    assert lab.command("cancel", "seen").returncode == 0


def test_a_run_of_a_node_that_went_down_is_queued_again(lab):
    """Only squeue knows it: until the job starts again, sacct says that its node failed."""
    words = ("study=down", "+rehearsal.of=down", *LONG, "+cluster.sbatch.nodelist=n2")
    assert submitted(lab.sweep(*words)) == 1
    lab.at_step("down", 3)
    lab.slurm("scontrol", "update", "nodename=n2", "state=down", "reason=test")
    try:
        found = lab.until("down", lambda s: all(v.message == "requeued after node failure" for v in s.values()))
        assert {(status.state, status.remedy) for status in found.values()} == {("queued", "")}
        # sacct forgets the reason once the job's record is renewed
        assert "queued: requeued" in lab.command("status", "down").stdout
    finally:
        lab.slurm("scontrol", "update", "nodename=n2", "state=resume")
    lab.finished("down", 400)
    assert undisturbed(lab.one("down"), 0, STEPS)


def test_cancel_and_on_finish(lab):
    told = lab.cwd / "told"
    words = (
        "study=stop",
        "+rehearsal.of=stop",
        "rehearsal.steps=200",
        "seed=0,1",
        f"on_finish='echo $GAPO_LAB_STUDY $GAPO_LAB_FAILED >> {told}'",
    )
    assert submitted(lab.sweep(*words)) == 1
    lab.until("stop", lambda s: all(v.step for v in s.values()))
    assert "2 runs cancelled" in lab.command("cancel", "stop").stdout
    found = lab.until("stop", lambda s: all(v.state == "interrupted" for v in s.values()))
    assert {status.message for status in found.values()} == {"cancelled"}
    jobs = ",".join(status.job for status in found.values())
    end = time.monotonic() + 60
    while lab.slurm("squeue", "-h", "-j", jobs).strip():
        assert time.monotonic() < end
        time.sleep(0.5)
    lab.sweep(
        "study=mail",
        "+rehearsal.of=mail",
        "seed=0,1",
        f"on_finish='echo $GAPO_LAB_STUDY $GAPO_LAB_FINISHED >> {told}'",
    )
    lab.finished("mail")
    end = time.monotonic() + 20
    while "mail 2" not in (told.read_text() if told.exists() else ""):
        assert time.monotonic() < end
        time.sleep(0.2)
    assert told.read_text().count("mail") == 1


def test_real_training_through_a_warning_and_a_requeue_ends_with_the_same_numbers(lab, finished):
    """The nano model, verl: exactly the metrics of the undisturbed run, and every step once in MLflow."""
    done = lab.run("-m", *TINY, "cluster=dev", "study=real", "seed=0", tiny=False, **lab.conf)
    assert submitted(done) == 1
    folder = lab.one("real")
    assert folder.key == finished.folder().key
    lab.slurm("scancel", "--signal=USR2", lab.at_step("real", 1).job)
    lab.until("real", lambda s: len(folder.attempts()) == 2 and lab.at_step("real", 2), 400)
    lab.slurm("scontrol", "requeue", folder.status().job)
    lab.finished("real", 400)
    lab.left_the_queue(folder.status().job)
    assert science(folder.merged_metrics()) == science(finished.folder().merged_metrics())
    assert len(folder.attempts()) == 3
    with sqlite3.connect(lab.cwd / "mlflow.db") as db:
        rows = db.execute("select step, count(*) from metrics where key = 'train/reward' group by step").fetchall()
    assert rows == [(1, 1), (2, 1), (3, 1)]


def test_ray_over_two_nodes(lab):
    assert submitted(lab.sweep("study=two", "+rehearsal.of=two", "cluster.nodes=2", "seed=0")) == 1
    lab.finished("two", 400)
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
    found = lab.until("noray", lambda s: all(v.state == "failed" and v.cause for v in s.values()), 400)
    (status,) = found.values()
    assert "Ray did not come up" in status.message and status.cause == "Ray did not start" and status.remedy


def test_a_login_node_without_slurm_says_so(lab):
    path = os.pathsep.join(d for d in os.environ["PATH"].split(os.pathsep) if not os.path.exists(f"{d}/sbatch"))
    done = lab.sweep("study=none", "seed=0", "+rehearsal.of=none", PATH=path)
    assert done.returncode == 2 and "sbatch is not on this machine" in done.stderr and "submitted" not in done.stdout
