"""What we rely on inside verl 0.9.1: fails when verl changes under us."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import zlib
from collections import defaultdict
from importlib.metadata import version

import pytest
import torch

pytestmark = pytest.mark.verl


@pytest.fixture(scope="module", autouse=True)
def plugin():
    import gapo_lab.training.verl_plugin

    return gapo_lab.training.verl_plugin


def test_verl_is_the_version_we_were_written_for():
    assert version("verl") == "0.9.1"


def test_the_private_registry_of_rollout_adapters_is_where_we_write():
    from verl.workers.rollout.base import _ROLLOUT_REGISTRY, get_rollout_class

    assert _ROLLOUT_REGISTRY[("gapo_cpu", "async")].endswith("CpuServerAdapter")
    assert get_rollout_class("gapo_cpu").__name__ == "CpuServerAdapter"
    assert _ROLLOUT_REGISTRY[("vllm", "async")].endswith("RunAdapter")


def test_the_agent_loop_cuts_prompts_where_we_refuse_them():
    from verl.experimental.agent_loop.agent_loop import AgentLoopBase

    assert "self._cap_text_prompt_length(prompt_ids)" in inspect.getsource(AgentLoopBase.ct_build_initial_tokens)


def test_our_estimator_is_registered_and_gets_its_config():
    import numpy as np
    from omegaconf import OmegaConf
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    from gapo_lab.methods.gapo import gapo

    rewards = torch.tensor([[0.0, 0.1], [0.0, 0.5], [0.0, 0.6], [0.0, 0.9]])
    mask = torch.tensor([[1, 1], [1, 1], [1, 0], [1, 1]])
    uid = np.array(["a", "a", "b", "b"], dtype=object)
    fn = get_adv_estimator_fn("gapo")
    for tau in (0.5, 1.0):
        config = OmegaConf.create({"gapo": {"tau": tau, "center": "mean"}})
        advantages, returns = fn(token_level_rewards=rewards, response_mask=mask, index=uid, config=config)
        wanted = gapo(rewards.sum(-1), torch.tensor([0, 0, 1, 1]), tau=tau, center="mean").unsqueeze(-1) * mask
        assert torch.equal(advantages, wanted) and torch.equal(returns, wanted)


def test_a_reward_that_is_no_number_names_its_uid():
    import numpy as np
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    rewards = torch.tensor([[0.0], [float("nan")]])
    with pytest.raises(ValueError, match="uid of-this-prompt is not finite"):
        get_adv_estimator_fn("gapo")(
            token_level_rewards=rewards,
            response_mask=torch.ones(2, 1),
            index=np.array(["x", "of-this-prompt"]),
        )


def test_the_hooks_we_fill_exist():
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    from gapo_lab.training.trainer import LabTrainer

    assert issubclass(LabTrainer, PPOTrainerSync)
    private = {"_compute_advantage", "_val_metrics_update", "_log_rollout_data"}
    private |= {"_compute_old_log_prob", "_compute_ref_log_prob", "_update_actor", "_shutdown_dump_executor"}
    private |= {"_init_resource_pool_mgr"}
    assert private <= set(vars(PPOTrainer))
    for hook in ("on_init_end", "on_validate_begin", "on_train_begin", "on_step_begin"):
        assert hook in vars(PPOTrainer)
    # the truths are asked of the actor before its weights go to who generates, and their metrics join a validation's
    assert "_validate" in vars(PPOTrainer) and {"on_init_end", "on_step_end"} <= set(vars(PPOTrainerSync))
    for hook in (PPOTrainerSync.on_init_end, PPOTrainerSync.on_step_end):
        assert "self.checkpoint_manager.update_weights(" in inspect.getsource(hook)
    fit = inspect.getsource(PPOTrainer.fit)
    assert fit.rindex("self.on_step_end()") < fit.rindex("self._validate()")
    assert fit.index("self.logger = Tracking(") < fit.index("self.on_validate_begin()") < fit.index("self._validate()")


def test_the_worker_that_tells_of_the_truths_is_the_one_that_trains():
    from verl.single_controller.base.decorator import MAGIC_ATTR
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer
    from verl.workers.engine.fsdp.transformer_impl import EngineEvalModeCtx, FSDPEngine
    from verl.workers.engine_workers import ActorRolloutRefWorker

    from gapo_lab.training.actor import LabWorker

    assert issubclass(LabWorker, ActorRolloutRefWorker) and hasattr(LabWorker.log_likelihoods, MAGIC_ATTR)
    named = inspect.getsource(PPOTrainer._init_resource_pool_mgr)
    assert "self.role_worker_mapping[role] = ray.remote(ActorRolloutRefWorker)" in named
    assert "self.engine.module.eval()" in inspect.getsource(EngineEvalModeCtx.__enter__)
    # whoever leaves eval mode finds the sequences shared out as before
    assert "set_ulysses_sequence_parallel_group(self.prev_sp_group)" in inspect.getsource(EngineEvalModeCtx.__exit__)
    assert "self._autocast_dtype" in inspect.getsource(FSDPEngine)


def test_workers_wait_as_long_as_the_run_says(tmp_path):
    """verl names no limit and torch has its own. In a process apart: it is torch's default that changes."""
    from verl.workers.engine_workers import TrainingWorker

    from gapo_lab.training import collective_timeout

    assert "initialize_global_process_group_ray(timeout_second=None)" in inspect.getsource(TrainingWorker.__init__)
    code = """
import gapo_lab.training.verl_plugin
import torch.distributed as dist
from torch.distributed import distributed_c10d as c10d
from verl.utils.distributed import initialize_global_process_group_ray
initialize_global_process_group_ray(timeout_second=None, backend="cpu:gloo")
made = [dist.group.WORLD, dist.new_group([0])]
seconds = [group._get_backend(c10d.torch.device("cpu")).options._timeout.total_seconds() for group in made]
seconds += [c10d._get_default_timeout(c10d.Backend(name)).total_seconds() for name in ("cpu:gloo,cuda:nccl", "nccl")]
print(seconds)
"""
    variables = {collective_timeout.VARIABLE: "7200", "DIST_INIT_METHOD": f"file://{tmp_path}/meeting"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip().endswith("[7200.0, 7200.0, 7200.0, 7200.0]"), done.stdout + done.stderr


def test_a_step_is_saved_before_it_is_validated_and_recorded_after():
    """What a run that is told to stop relies on, and `trainer.max_actor_ckpt_to_keep`."""
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer
    from verl.utils.checkpoint.checkpoint_manager import BaseCheckpointManager

    fit = inspect.getsource(PPOTrainer.fit)
    loop = fit[fit.index("while current_epoch") :]
    calls = ("self.on_step_begin()", "self._save_checkpoint()", "self.on_step_end()", "self.on_validate_begin()")
    calls += ("self._validate()", "self.on_validate_end()", "metrics.update(val_metrics)", "self.logger.log(")
    places = [loop.index(call) for call in calls]
    assert places == sorted(places)
    assert {"_validate", "_save_checkpoint", "on_validate_end", "on_step_end"} <= set(vars(PPOTrainer))
    # verl counts only what this process has saved
    assert "self.previous_saved_paths = []" in inspect.getsource(BaseCheckpointManager.__init__)


def test_ray_is_told_of_the_cpus_that_verl_books():
    from transfer_queue.controller import TransferQueueController
    from transfer_queue.storage.simple_storage import SimpleStorageUnit
    from verl.single_controller.ray.base import ResourcePoolManager

    from gapo_lab.config.known_keys import verl_defaults
    from gapo_lab.utils import ray_cpus

    assert ResourcePoolManager.max_colocate_count == ray_cpus.PER_WORKER
    units = "transfer_queue.backend.SimpleStorage.num_data_storage_units"
    assert verl_defaults()[units] == ray_cpus.STORAGE_UNITS
    for actor in (TransferQueueController, SimpleStorageUnit):
        assert actor._default_options["num_cpus"] == 1
    assert [ray_cpus.booked(gpus) for gpus in (8, 4)] == [34, 22]
    assert all(ray_cpus.cpus(gpus) >= ray_cpus.booked(gpus) for gpus in range(1, 17))


def test_the_replay_buffer_takes_what_we_pass():
    from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

    wanted = {
        "poll_interval",
        "refill_fn",
        "filter_groups_metric",
        "train_batch_size",
        "gen_batch_size",
        "max_inflight_gen_batches",
        "sampler_kwargs",
    }
    assert wanted <= set(inspect.signature(ReplayBuffer.__init__).parameters)
    for name in (
        "_sync_metadata_from_transfer_queue",
        "failure_keys",
        "_select_prompt_uids",
        "_materialize_batch",
        "prompt_global_steps",
    ):
        assert name in inspect.getsource(ReplayBuffer)


def test_the_replay_buffer_takes_groups_in_the_order_they_were_asked_for(monkeypatch):
    from verl.trainer.ppo.v1 import replay_buffer

    from gapo_lab.training.replay_buffer import BoundedReplayBuffer

    uids = [f"{7919 * i % 1000:03d}" for i in range(1, 17)]
    tags = {uid: {"is_prompt": True, "global_steps": 3, "status": "finished"} for uid in uids}
    monkeypatch.setattr(replay_buffer.tq, "kv_list", lambda: {"train": tags})
    buffer = BoundedReplayBuffer.__new__(BoundedReplayBuffer)
    for name in (
        "partitions",
        "pending_keys",
        "running_keys",
        "finished_keys",
        "failure_keys",
        "prompt_global_steps",
    ):
        setattr(buffer, name, defaultdict(dict if name in ("partitions", "prompt_global_steps") else set))
    buffer._sync_metadata_from_transfer_queue()
    chosen, *_ = buffer._select_prompt_uids("train", set(uids) - {uids[2]}, 8)
    assert chosen == [*uids[:2], *uids[3:9]]


def test_rows_stand_in_the_order_they_were_asked_for_whenever_their_answers_arrive(monkeypatch):
    from verl.trainer.ppo.v1 import replay_buffer

    from gapo_lab.training.replay_buffer import BoundedReplayBuffer

    monkeypatch.setattr(replay_buffer.tq, "kv_clear", lambda **_: None)
    buffer = BoundedReplayBuffer.__new__(BoundedReplayBuffer)
    wanted = [f"{uid}_{session}_0" for uid in ("b7", "a3", "c5") for session in range(11)]
    arrived = sorted(wanted, key=lambda key: zlib.crc32(key.encode()))
    snapshot = {key: {"status": "success", "key": key} for key in [*arrived, "zz_0_0"]}
    batch = buffer._materialize_batch("train", ["b7", "a3", "c5"], snapshot)
    assert arrived != wanted
    assert batch.keys == wanted
    assert [tag["key"] for tag in batch.tags] == wanted


def test_the_engine_reads_forward_only_where_we_change_it():
    from verl.workers.engine.base import EngineRegistry
    from verl.workers.engine.fsdp.transformer_impl import FSDPEngine

    from gapo_lab.training.cpu.engine import CpuFSDPEngine

    assert EngineRegistry.get_engine_cls("language_model", "fsdp2") is CpuFSDPEngine
    source = inspect.getsource(FSDPEngine._build_fsdp_module)
    assert "self.engine_config.offload_policy or self.engine_config.forward_only" in source


def test_the_servers_methods_are_the_ones_verl_calls():
    from verl.workers.rollout.replica import RolloutReplica

    from gapo_lab.training.cpu.rollout_server import CpuRolloutServer

    source = inspect.getsource(RolloutReplica)
    called = {
        line.split("server.")[1].split(".remote")[0]
        for line in source.splitlines()
        if "server." in line and ".remote(" in line
    }
    assert called <= set(dir(CpuRolloutServer)), called


def test_a_server_holds_the_weights_it_was_given(tmp_path):
    from transformers import AutoModelForCausalLM

    from gapo_lab.paths import NANO
    from gapo_lab.training.cpu.rollout_server import CpuRolloutServer, digest

    checkpoint = NANO / "checkpoint"
    server = CpuRolloutServer(str(checkpoint), "float32", response_length=4, seed=0)
    actor = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    with torch.no_grad():
        for parameter in actor.parameters():
            parameter.add_(torch.randn_like(parameter) * 1e-3)
    weights = list(actor.named_parameters(remove_duplicate=False))
    assert server.weights_digest() != digest(weights)
    server.update_weights(weights, global_steps=7)
    assert server.weights_digest() == digest(weights)
    assert server.generate_batch([[5, 6]], 1, 1.0, 1.0, -1, seed=0)[-1] == 7
    with pytest.raises(KeyError):
        server.update_weights([("no.such.weight", torch.zeros(1))])


def test_verl_ends_a_worker_that_sees_the_variables_of_two_makers(monkeypatch):
    """Why `gpu_variables.keep_one` is there. SLURM sets both where its gres.conf has no AutoDetect."""
    from verl.single_controller.base.worker import Worker

    from gapo_lab.utils import gpu_variables

    for name in ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "0,1")
    with pytest.raises(ValueError, match="ROCR_VISIBLE_DEVICES"):
        Worker._setup_env_cuda_visible_devices(None)
    gpu_variables.keep_one(os.environ)
    Worker._setup_env_cuda_visible_devices(None)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
