"""Runs of a sweep on this machine that start from a process which has imported verl: the same runs, sooner."""

from __future__ import annotations

import re
import signal

import psutil
import pytest
from databases import give_database
from lab import ONE_WORKER, PATIENCE, TINY, Lab, science, wait_until

from gapo_lab.launch import warm_parent
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.run_root import find


def processes(lab: Lab, word: str = "") -> list[psutil.Process]:
    """Those that stand in the lab's working folder and have `word` in their command line."""
    return [
        process
        for process in psutil.process_iter(["cwd", "cmdline"])
        if (process.info["cwd"] or "").startswith(str(lab.cwd)) and word in " ".join(process.info["cmdline"] or [])
    ]


def by_seed(lab: Lab) -> dict[int, RunFolder]:
    return {folder.spec["seed"]: folder for folder in find(lab.cwd / "runs")}


@pytest.fixture(scope="module")
def warm(tmp_path_factory, empty_mlflow) -> Lab:
    """A sweep over two rewards: the run that `finished` is, and one with a reward that has a module of its own."""
    lab = Lab(tmp_path_factory.mktemp("warm"))
    give_database(lab.cwd, empty_mlflow)
    (lab.cwd / "mine").mkdir()
    (lab.cwd / "mine" / "reward.py").write_text(
        "from shares import share\n\ndef compute_score(data_source, solution_str, ground_truth, extra_info=None):\n"
        "    return {'score': share(solution_str, ground_truth), 'seen': __file__.count('/runs/')}\n"
    )
    (lab.cwd / "mine" / "shares.py").write_text(
        "def share(a, b):\n    return len(set(a) & set(b)) / max(1, len(set(a) | set(b)))\n"
    )
    done = lab.run("-m", *TINY, "data.expected=false", "seed=0", "reward=edit,mine/reward.py", tiny=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return lab


def by_reward(lab: Lab) -> dict[str, RunFolder]:
    own = "reward=mine/reward.py"
    return {"own" if own in folder.spec["overrides"] else "edit": folder for folder in find(lab.cwd / "runs")}


def test_a_warm_run_has_the_metrics_of_a_cold_one_bit_for_bit(finished, warm):
    """So the same seed gives the same metrics, also where nobody asks how likely the truths are: that is the same run,
    and its training is not touched."""
    run = by_reward(warm)["edit"]
    assert run.key == finished.folder().key
    asked = re.compile(r"val/\w+/em_(expected|loglik|answer_noise)\w*|timing_s/expected")
    wanted = {
        step: {name: value for name, value in at.items() if not asked.fullmatch(name)}
        for step, at in science(finished.folder().merged_metrics()).items()
    }
    assert science(run.merged_metrics()) == wanted


def test_each_warm_run_has_a_process_an_attempt_and_a_log_of_its_own(warm):
    runs = by_reward(warm)
    assert len(runs) == 2
    for folder in runs.values():
        (attempt,) = folder.attempts()
        assert "Training Progress" in attempt.log_path.read_text() and folder.status().state == "finished"
    assert runs["edit"].raw_status.process != runs["own"].raw_status.process
    assert list((warm.cwd / "runs" / ".submissions").glob("*/warm_parent.log"))
    assert not processes(warm)


def test_a_reward_with_a_module_of_its_own_starts_warm(warm):
    """The run folder's copy of the module is found in a process that was there before the folder."""
    first = by_reward(warm)["own"].merged_metrics()[1]
    assert first["train/seen"] == 1 and 0 < first["train/reward"] < 1, first


def test_what_is_killed_harms_no_other_run(finished, lab):
    """kill -9 of a run, while the next one gets ready, then of the process that they start from."""
    words = (ONE_WORKER, "tracking=later", "trainer.total_training_steps=16", "trainer.test_freq=-1")
    words += ("trainer.save_freq=-1",)
    process = lab.start("-m", *TINY, *words, "seed=0,1,2", tiny=False)
    wait_until(lambda: 0 in by_seed(lab) and len(by_seed(lab)[0].merged_metrics()) > 2, process)
    (parent,) = [p for p in processes(lab, "launch.warm_parent") if p.ppid() == process.pid]
    wait_until(lambda: len([p for p in parent.children() if p.status() != "zombie"]) == 2, process)
    psutil.Process(by_seed(lab)[0].raw_status.process.pid).kill()
    wait_until(lambda: by_seed(lab)[1].raw_status.state == "running", process)
    assert by_seed(lab)[0].status().state == "interrupted"
    parent.send_signal(signal.SIGKILL)
    # what was forked from it goes on to its end; the last run starts from nothing, and is stopped by hand
    wait_until(lambda: by_seed(lab)[2].raw_status.state == "running", process)
    assert by_seed(lab)[1].status().state == "finished", by_seed(lab)[1].status()
    assert processes(lab, "launch.submitted_run")
    # before it trains, a warm run finds the truths as likely as a cold one
    warm, cold = (folder.merged_metrics()[0] for folder in (by_seed(lab)[1], finished.folder()))
    for name in ("val/id/em_expected", "val/dev/em_expected", "val/id/em_loglik"):
        assert warm[name] == pytest.approx(cold[name], rel=1e-6)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and "stopped" in err
    states = {seed: str(folder.status().state) for seed, folder in by_seed(lab).items()}
    assert states == {0: "interrupted", 1: "finished", 2: "interrupted"}
    assert all(len(folder.attempts()) == 1 for folder in by_seed(lab).values())
    assert not processes(lab)


def test_a_warm_run_saves_when_it_is_cancelled_and_at_ctrl_c(lab):
    """While the process that the runs start from lives, and the next run has got ready."""
    words = (ONE_WORKER, "tracking=later", "trainer.total_training_steps=400", "trainer.test_freq=-1")
    words += ("trainer.save_freq=-1",)
    process = lab.start("-m", *TINY, *words, "seed=0,1,2", tiny=False)

    def trains(seed: int) -> bool:
        return seed in by_seed(lab) and len(by_seed(lab)[seed].merged_metrics()) > 2

    wait_until(lambda: trains(0), process)
    cancelled = by_seed(lab)[0]
    said = lab.command("cancel", cancelled.key)
    assert said.returncode == 0 and "1 run cancelled" in said.stdout, said.stdout + said.stderr
    status = cancelled.status()
    assert (status.state, status.cause) == ("interrupted", "cancelled")
    if "(saved)" in status.message:  # a step may take longer than `supervisor.GRACE_SECONDS` on a busy machine
        assert cancelled.resume_step() == max(cancelled.merged_metrics())
    wait_until(lambda: trains(1), process)
    (parent,) = [p for p in processes(lab, "launch.warm_parent") if p.ppid() == process.pid]
    # the run that trains, and the one that gets ready
    wait_until(lambda: len([p for p in parent.children() if p.status() != "zombie"]) == 2, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    stopped = by_seed(lab)[1]
    step = max(stopped.merged_metrics())
    assert process.returncode == 130 and "1 running: saving after this step" in out, out + err
    assert stopped.resume_step() == step < 400
    assert stopped.raw_status.message == f"stopped after step {step} (saved)"
    assert "stopped; the same command resumes" in err and "starts 1 run that waited" in err, err
    assert not by_seed(lab)[2].attempts() and not processes(lab)


@pytest.mark.parametrize(
    ("words", "possible"),
    [
        ((), True),
        (("scale=rehearsal",), False),
        (("model=smollm2_135m", "backend=vllm_cpu"), False),
        (("+actor_rollout_ref.model.external_lib=mine",), False),
        (("+algo.path=mine.py",), False),
        (("reward.custom_reward_function.path=mine.py",), True),
    ],
)
def test_what_starts_from_nothing(tmp_path, words, possible):
    """What is no training on verl's CPU engine, and what brings modules of its own."""
    from omegaconf import OmegaConf

    from gapo_lab.config.compose import compose_run

    words = [word.replace("+actor", "actor") for word in words]
    config = OmegaConf.to_container(compose_run([*TINY, *words]), resolve=True)
    folder = RunFolder.open(tmp_path, "run", {"key": "run"})
    folder.write_config(OmegaConf.to_yaml(config))
    assert warm_parent.is_possible(folder) == possible
