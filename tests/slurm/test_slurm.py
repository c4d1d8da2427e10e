"""Sweeps on a real SLURM cluster of three nodes: slurm/dev-cluster. Skipped, and said so, without root or packages."""

from __future__ import annotations

import json
import os
import re
import signal
import time

import pytest
from lab import PATIENCE
from slurm_lab import DEV, SlurmLab, submitted, undisturbed

from gapo_lab.runs.folder import RunFolder

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> SlurmLab:
    return SlurmLab(tmp_path_factory.mktemp("slurm"))


def plain(script: str) -> str:
    """A batch script without the submission's random name."""
    return re.sub(r"gapo-[0-9a-f]{8}", "NAME", script)


def test_one_array_for_each_resource_shape_and_runs_are_shared(lab):
    shell = {"SBATCH_PARTITION": "nowhere", "SLURM_JOB_ID": "1", "SLURM_MEM_PER_NODE": "1", "SLURM_MEM_PER_CPU": "400"}
    words = ("study=a", "algo=grpo,gapo_grpo", "tau=0.1,0.5", "cluster.cpus=1,2", "seed=0,1")
    shown = lab.command("plan", "--show-sbatch", "scale=rehearsal", *DEV, *words).stdout
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
    outs = [process.communicate(timeout=PATIENCE) for process in both]
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
    lab.until("orphan", lambda s: all(v.state in ("finished", "failed", "interrupted") for v in s.values()))
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
    scripts = [path.read_text() for path in (lab.root / ".submissions" / record["name"]).glob("*.sh")]
    assert scripts and all("#SBATCH --job-name=code" in one and "wckey" not in one for one in scripts)
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


def test_the_doctor_asks_slurm_and_a_node(lab):
    words = ("doctor", "--on-node", "scale=rehearsal", "cluster=dev", "study=doctor")
    done = lab.command(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    first, node = done.stdout.split("submitted as SLURM job")
    assert re.search(r"ok +sbatch +partition=main .*: accepted", first)
    assert re.search(r"^node n\d:$", node, re.MULTILINE) and re.search(r"ok +shared +n\d sees", node)
    for about in ("packages", "model nano", "tokenizer nano", "data", "run root", "disk", "MLflow"):
        assert re.search(rf"(ok|note) +{about} ", node), node
    # nothing stays of it
    assert not lab.keys("doctor") and not list(lab.root.glob(".submissions/*/findings.json"))
    refused = lab.command(*words[:1], *words[2:], "cluster.partition=nowhere")
    assert refused.returncode == 1 and re.search(r"wrong +sbatch .*partition", refused.stdout), refused.stdout


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


def test_a_login_node_without_slurm_says_so(lab):
    path = os.pathsep.join(d for d in os.environ["PATH"].split(os.pathsep) if not os.path.exists(f"{d}/sbatch"))
    done = lab.sweep("study=none", "seed=0", "+rehearsal.of=none", PATH=path)
    assert done.returncode == 2 and "sbatch is not on this machine" in done.stderr and "submitted" not in done.stdout
