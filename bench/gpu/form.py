"""The two forms of the check, on a GPU and, smaller, on a CPU: the words that each run is started with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

BACKENDS = ("vllm", "vllm_cpu", "cpu")
# Both forms: nothing is copied to MLflow, nothing is downloaded.
COMMON = ("tracking=later", "data.val_batch_size=null")
# Steps of each run of nano. A checkpoint after each: the run that is killed goes on after the first.
STEPS = ("trainer.total_training_steps=3", "trainer.test_freq=3", "trainer.save_freq=1")
# GiB of a GPU for vLLM: nano's weights, cache and buffers; the large model's.
NANO_GIB, LARGE_GIB = 5, 16
# nano on a GPU: steps as `scale=nano` has them, on a card that several runs share.
ON_GPU = (
    "data.train_size=256",
    "data.id_size=32",
    "data.dev_size=16",
    "data.ood_size=16",
    "trainer.n_gpus_per_node=1",
    "reward.num_workers=2",
    "actor_rollout_ref.rollout.agent.num_workers=2",
    "actor_rollout_ref.rollout.enforce_eager=true",
)
ON_CPU = (
    "data.train_size=64",
    "data.id_size=24",
    "data.dev_size=8",
    "data.ood_size=8",
    "data.train_batch_size=8",
    "actor_rollout_ref.actor.ppo_mini_batch_size=4",
    "actor_rollout_ref.rollout.n=4",
)
# vLLM reads so many tokens at a time, fewer than the prompts of a validation have: as with large batches.
VLLM_ON_CPU = ("actor_rollout_ref.rollout.max_num_batched_tokens=1024",)
LARGE_ON_GPU = (
    "data.train_size=64",
    "data.id_size=16",
    "data.dev_size=16",
    "data.ood_size=16",
    "data.train_batch_size=16",
    "model.max_prompt_length=128",
    "model.max_response_length=256",
    "model.max_tokens_per_gpu=2560",
    "actor_rollout_ref.actor.ppo_mini_batch_size=8",
    "actor_rollout_ref.rollout.agent.num_workers=4",
    "actor_rollout_ref.rollout.enforce_eager=true",
    "trainer.n_gpus_per_node=1",
    "reward.num_workers=2",
)
LARGE = (
    "trainer.total_training_steps=2",
    "trainer.test_freq=-1",
    "trainer.save_freq=-1",
    "trainer.val_before_train=false",
)
DETERMINISTIC = "actor_rollout_ref.actor.fsdp_config.full_determinism=true"


@dataclass(frozen=True)
class Form:
    """What was asked for.

    out: the folder of results and logs. work: that of the runs. backend: of the runs. beside: the method that is
    trained beside gapo_grpo, "" for none. gpu_gib: the memory of the GPU.
    """

    out: Path
    work: Path
    backend: str = "vllm"
    beside: str = "grpo"
    gpu_gib: float = 80.0

    @property
    def on_gpu(self) -> bool:
        return self.backend == "vllm"

    @property
    def device(self) -> str:
        return "cuda" if self.on_gpu else "cpu"

    @property
    def at_a_time(self) -> int:
        """Runs side by side."""
        return 4 if self.on_gpu else 2

    def runs(self) -> dict[str, tuple[str, ...]]:
        """Return the runs of the stage `training`, by name, and the words of each.

        `same` and `killed` are one run twice. On a GPU they are deterministic and `gapo` is the same run as it comes;
        on a CPU every run is deterministic.
        """
        on_cpu = (*ON_CPU, *(VLLM_ON_CPU if self.backend == "vllm_cpu" else ()))
        sizes = (*ON_GPU, self._vllm_has(NANO_GIB)) if self.on_gpu else on_cpu
        words = (f"backend={self.backend}", *COMMON, *STEPS, *sizes)
        gapo = (*words, "algo=gapo_grpo")
        same = (*gapo, DETERMINISTIC) if self.on_gpu else gapo
        found = {"same": same, "killed": same}
        if self.on_gpu:
            found["gapo"] = gapo
        if self.beside:
            found[self.beside] = (*words, f"algo={self.beside}", "seed=1")
        return found

    def large(self, model: Path) -> tuple[str, ...]:
        """Return the words of the run of the stage `large`, with the model in a folder."""
        sizes = (*LARGE_ON_GPU, self._vllm_has(LARGE_GIB)) if self.on_gpu else ON_CPU
        return (f"backend={self.backend}", *COMMON, *sizes, *LARGE, "algo=gapo_grpo", f"model.path={model}")

    def _vllm_has(self, gib: float) -> str:
        return f"actor_rollout_ref.rollout.gpu_memory_utilization={min(0.9, gib / self.gpu_gib):.3f}"

    def write(self) -> None:
        (self.out / "form.json").write_text(json.dumps(asdict(self), default=str), encoding="utf-8")

    @classmethod
    def read(cls, out: Path) -> Form:
        raw = json.loads((Path(out) / "form.json").read_text(encoding="utf-8"))
        return cls(**{**raw, "out": Path(raw["out"]), "work": Path(raw["work"])})
