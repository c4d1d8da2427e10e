"""One run of the real verl trainer, from a resolved configuration to a run folder full of metrics."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf, open_dict

from gapo_lab.errors import UserError
from gapo_lab.models import smollm2
from gapo_lab.runs import checkpoints
from gapo_lab.runs.attempt import Attempt
from gapo_lab.runs.folder import RunFolder
from gapo_lab.training import adapter_seed, collective_timeout, unchanged
from gapo_lab.training.ray_cluster import PATIENCE_SECONDS, in_time
from gapo_lab.training.recorder import Recorder
from gapo_lab.training.user_methods import USER_METHODS, user_methods
from gapo_lab.training.variables import EVERYWHERE, FIRST_JOB, ON_CPU, USERS_OWN, VLLM_ON_CPU
from gapo_lab.training.vllm_rollout import metadata, workers
from gapo_lab.utils.import_path import hidden

if TYPE_CHECKING:
    from gapo_lab.data.prepare import Prepared


# Billions of parameters of the largest model that is loaded before its run begins, beside that of the run before it.
LOADED_AHEAD = 0.01


# Packages that verl's libraries import where they are installed, for what no run does: scikit-learn is there for
# MLflow, and transformers' assisted decoding would draw its thresholds with it. vLLM comes in beside another backend,
# too: with both, the imports take half as long again.
NEVER_USED = ("sklearn",)


def environment(config: DictConfig, attempt: Attempt, scratch: Path) -> dict[str, str]:
    """Variables that must stand before verl and Ray are imported, in the job and in every Ray worker."""
    from gapo_lab.training.reward_function import ERROR_FILE

    variables = {
        **EVERYWHERE,
        ERROR_FILE: str(attempt.path / "reward_error.txt"),
        "RAY_AUTH_TOKEN_PATH": str(scratch / "token"),
    }
    if told := user_methods(config):
        variables[USER_METHODS] = told
    if config.backend.name != "cpu":
        here = [str(metadata.folder_of(scratch)), os.environ.get("PYTHONPATH", "")]
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, here))
    if limit := config.backend.get("collective_timeout"):
        variables[collective_timeout.VARIABLE] = str(limit)
    if config.actor_rollout_ref.model.lora_rank:
        variables[adapter_seed.VARIABLE] = str(config.seed)
    if config.trainer.device == "cpu":
        variables |= ON_CPU
        # Ray checks that the GPUs it is told of are visible; the workers' are fakes
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, range(config.trainer.n_gpus_per_node)))
        variables |= VLLM_ON_CPU
        variables |= {name: os.environ[name] for name in USERS_OWN if name in os.environ}
    elif config.actor_rollout_ref.actor.fsdp_config.full_determinism:
        # vLLM's kernels then sum in the same order whatever else is in the batch: with a seed for each request
        # (greedy_agent.py) and the actor's full determinism the same seed gives the same answers (docs/bench.md)
        variables["VLLM_BATCH_INVARIANT"] = "1"
    if config.trainer.device == "cpu" and config.trainer.nnodes == 1:
        # Ray's library reads these when it is loaded, and the zygote loads it once, before there is a cluster: the
        # first (and only) job of a fresh cluster has this number, and a worker ends when this process does
        variables["RAY_JOB_ID"] = FIRST_JOB
        variables["RAY_RAYLET_PID"] = str(os.getpid())
    return variables


def import_all(device: str, backend: str) -> None:
    """Import what a job on this device with this backend needs: seconds. The variables must be set already."""
    with hidden(*(NEVER_USED if backend != "cpu" else (*NEVER_USED, "vllm"))):
        from verl.workers.engine_workers import ActorRolloutRefWorker  # noqa: F401

        import gapo_lab.training.trainer
        from gapo_lab.training import ray_cluster  # noqa: F401

        if device == "cpu":
            if backend == "cpu":
                import gapo_lab.training.cpu.rollout_manager
                import gapo_lab.training.cpu.rollout_replica
            else:
                import gapo_lab.training.vllm_rollout.replica  # noqa: F401


@contextmanager
def ready(config: DictConfig, scratch: Path, recorder: Recorder) -> Iterator[Future[Prepared]]:
    """verl is imported and Ray runs for the time of the block, and the data are being prepared.

    scratch: a short folder for sockets; the variables of `environment` must be set already.
    """
    recorder.phase("importing verl")
    if config.backend.name != "cpu":
        metadata.write(metadata.folder_of(scratch))
        sys.path.insert(0, str(metadata.folder_of(scratch)))
    import_all(config.trainer.device, config.backend.name)
    from gapo_lab.training import ray_cluster
    from gapo_lab.training.cpu import fork_server

    executable = None
    if config.trainer.device == "cpu" and config.trainer.nnodes == 1:
        # a worker on another node has no zygote beside it
        fork_server.start(scratch / "zygote", with_multiprocessing=config.backend.name != "cpu")
        executable = fork_server.command(scratch / "zygote")
    if Path(config.model.path) == smollm2.folder():
        recorder.phase("unpacking the model")
        smollm2.ensure()
    recorder.phase("starting Ray")
    patience = OmegaConf.select(config, "cluster.ray_patience", default=PATIENCE_SECONDS)
    with ExitStack() as stack:
        # Ray's start is mostly waiting for its processes
        data = stack.enter_context(ThreadPoolExecutor(1)).submit(prepare_rows, config)
        with in_time(recorder.folder if recorder.has_begun else None, patience + 30):
            stack.enter_context(ray_cluster.cluster(config, executable, scratch, recorder.say))
        yield data


def train(config: DictConfig, folder: RunFolder, attempt: Attempt, recorder: Recorder, data: Future[Prepared]) -> None:
    """Train until the last step, where all is `ready`. Any error propagates; the queue is ended either way."""
    recorder.phase("preparing the data")
    prepared = data.result()
    recorder.at_begin(partial(write_down, prepared, folder))
    if folder.resume_step() or config.model.billions > LOADED_AHEAD:
        recorder.begin()
    # again: the data have been read since, and a run that waited for its turn has not loaded its model yet
    unchanged.check(config, folder.spec.get("science", {}))
    train_in_cluster(config, prepared, folder, attempt, recorder)


def train_in_cluster(
    config: DictConfig, prepared: Prepared, folder: RunFolder, attempt: Attempt, recorder: Recorder
) -> None:
    """Train in the Ray cluster that is running, on the data that lie ready."""
    import transfer_queue as tq
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    from gapo_lab.training import user_reward
    from gapo_lab.training.trainer import LabTrainer

    recorder.phase("starting the queue")
    point_at_run_folder(config, folder, attempt)
    workers.fit(config)
    with open_dict(config):
        config.data.expected = config.data.expected  # as the user's reward decides, which is wrapped now
    user_reward.wrap(config)
    with open_dict(config):
        config.data.train_files = str(prepared.train.absolute())
        config.data.val_files = str(prepared.val.absolute())
        # the columns of the prepared files, whatever those of the user's own are called
        config.data.prompt_key, config.data.reward_fn_key = "prompt", "data_source"
    config.transfer_queue.enable = True
    validate_config(config, need_reference_policy(config), need_critic(config))
    OmegaConf.resolve(config)
    say_attention(config)
    tq.init(config.transfer_queue)
    ended_well = False
    trainer = LabTrainer(config, recorder)
    try:
        recorder.phase("loading the model")
        trainer.init()
        trainer.fit(rollout_manager(config, trainer))
        ended_well = True
    finally:
        recorder.finish(exit_code=0 if ended_well else 1)
        recorder.phase("ending Ray")
        tq.close()


def point_at_run_folder(config: DictConfig, folder: RunFolder, attempt: Attempt) -> None:
    """Checkpoints and generations go to the run folder; training goes on from its newest whole checkpoint."""
    with open_dict(config):
        config.trainer.default_local_dir = str(folder.checkpoints.absolute())
        config.trainer.rollout_data_dir = str((attempt.generations / "train").absolute())
        config.trainer.validation_data_dir = str((attempt.generations / "val").absolute())
        step = folder.resume_step()
        config.trainer.resume_mode = "disable" if step == 0 else "resume_path"
        if step:
            checkpoints.check_world_size(
                folder.checkpoints, step, config.trainer.n_gpus_per_node * config.trainer.nnodes
            )
            checkpoints.prune(folder.checkpoints, keep=step)
            config.trainer.resume_from_path = str((folder.checkpoints / f"global_step_{step}").absolute())
            # a step's validation is recorded with the step, unless the run was told to stop before it
            config.trainer.val_before_train = _owes_validation(config, folder, step)


def _owes_validation(config: DictConfig, folder: RunFolder, step: int) -> bool:
    """Whether the step of the checkpoint should have been validated, and was not."""
    every, last = config.trainer.test_freq, folder.raw_status.total_steps
    due = every > 0 and (step % every == 0 or step == last)
    return due and not any(name.startswith("val/") for name in folder.merged_metrics().get(step, {}))


def prepare_rows(config: DictConfig) -> Prepared:
    """Make or find the parquet files."""
    from transformers import AutoTokenizer

    from gapo_lab.data.prepare import prepare
    from gapo_lab.data.tokenizer_check import check_tokenizer

    tokenizer = AutoTokenizer.from_pretrained(config.model.path)
    check_tokenizer(tokenizer, config.model.path)
    return prepare(OmegaConf.to_container(config.data, resolve=True), tokenizer, Path("data"))


def write_down(prepared: Prepared, folder: RunFolder) -> None:
    """Say in the run folder which data it trains on. UserError where it has trained on others before."""
    from gapo_lab.utils import atomic_files

    about = {"folder": str(prepared.folder), **prepared.about}
    before = atomic_files.read_json(folder.path / "data.json")
    if before and folder.resume_step() and before["digest"] != about["digest"]:
        raise UserError(
            f"run {folder.key} has trained on other data ({before['folder']}, now {about['folder']}): its prompts, its "
            f"tokenizer or the code that makes them have changed. To start it anew, remove {folder.path}"
        )
    atomic_files.write_json(folder.path / "data.json", about)
    if left_out := {split: number for split, number in about["too_long"].items() if number}:
        print(f"left out, longer than data.max_prompt_length or data.max_response_length: {left_out}")


def say_attention(config: DictConfig) -> None:
    """Say in the log which attention the actor has where a run may have one or another, and what follows from it."""
    if config.backend.name != "cpu":
        role = config.actor_rollout_ref
        ulysses = role.actor.ulysses_sequence_parallel_size
        cut = f"sequences are cut over {ulysses} GPUs" if ulysses > 1 else "sequences are not cut over GPUs"
        print(f"attention is {role.model.override_config.attn_implementation}, {cut} (ulysses {ulysses})", flush=True)


def rollout_manager(config: DictConfig, trainer):
    """Who generates: our batched manager on a CPU, verl's own agent loop with vLLM."""
    if config.backend.name == "cpu":
        from gapo_lab.training.cpu.rollout_manager import BatchedRolloutManager

        return BatchedRolloutManager(config, trainer.llm_server_manager.server_handles, trainer.tokenizer)
    from verl.trainer.ppo.v1 import AgentLoopManagerTQ

    return AgentLoopManagerTQ.create(
        config=config,
        llm_client=trainer.get_llm_client(),
        teacher_client=trainer.get_teacher_client(),
        reward_loop_worker_handles=trainer.get_reward_handles(),
    )
