"""Estimate the memory and the disk that one run needs, before it is queued. Pure.

All sizes are in bytes. The training estimate was compared with one H100 (docs/bench.md): a model of 1.5 billion
parameters peaked at 43.0 GiB (46 GB) where this says 49 GB, so it errs on the safe side.
"""

from __future__ import annotations

from dataclasses import dataclass

GB = 1e9
# bytes a parameter
FP32, BF16, ADAM = 4, 2, 8
# Of one token in one layer, bf16, kept for the backward pass: the inputs of the norms, q, k, v, the attention's output
# and the residuals (in hidden sizes); gate, up, their activation and product (in feed-forward sizes).
BYTES_PER_HIDDEN, BYTES_PER_FEED_FORWARD = 20, 8
# Of one logit: bf16, fp32, its log-softmax and its gradient.
BYTES_PER_LOGIT = 13
# vLLM asleep, NCCL's buffers and CUDA's context.
OTHER_ON_GPU = 8 * GB
# vLLM's own activations and CUDA graphs.
VLLM_OVERHEAD = 6 * GB
# Processes of one node: Ray, the agent loops and the queue; and each GPU's worker and vLLM process (90 GB for eight).
HOST_BASE, HOST_PER_GPU = 10 * GB, 10 * GB
# Without a GPU: verl's processes, each worker, vLLM's processes, and the model's copies with their gradients.
CPU_BASE, CPU_PER_WORKER, CPU_VLLM, CPU_BYTES_PER_PARAMETER = 4 * GB, 1 * GB, 10 * GB, 60


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a decoder-only transformer, as its config.json has them. parameters: their number."""

    parameters: float
    layers: int
    hidden: int
    feed_forward: int
    vocabulary: int
    kv_heads: int
    head_size: int

    @property
    def kv_bytes_per_token(self) -> int:
        """Keys and values of one token over all layers, bf16."""
        return 2 * BF16 * self.layers * self.kv_heads * self.head_size

    def adapters(self, rank: int) -> float:
        """Parameters of LoRA adapters beside every linear layer but the output's; queries as wide as the hidden state.

        Each layer has queries and output, keys and values, and three matrices of the feed-forward block.
        """
        both_ways = 4 * self.hidden + 2 * (self.hidden + self.kv_heads * self.head_size)
        return float(self.layers * rank * (both_ways + 3 * (self.hidden + self.feed_forward)))


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes on each GPU during the update, by what they hold."""

    weights: float
    activations: float
    logits: float
    other: float = OTHER_ON_GPU

    @property
    def total(self) -> float:
        return self.weights + self.activations + self.logits + self.other


def training_memory(shape: ModelShape, workers: int, tokens: int, checkpointing: bool, lora: int = 0) -> TrainingMemory:
    """Estimate the peak of the update on one GPU under FSDP2 with fp32 masters and bf16 compute.

    workers: GPUs the weights, gradients and Adam's moments are sharded over. tokens: of one forward and backward
    pass on one GPU (`actor.ppo_max_token_len_per_gpu`). checkpointing: whether activations are recomputed in the
    backward pass; then one layer's are kept, and each layer's input. lora: rank of adapters that alone are trained.
    """
    layer = BYTES_PER_HIDDEN * shape.hidden + BYTES_PER_FEED_FORWARD * shape.feed_forward
    kept = layer + shape.layers * BF16 * shape.hidden if checkpointing else shape.layers * layer
    return TrainingMemory(
        weights=_weights(shape, lora) / workers,
        activations=float(tokens * kept),
        logits=float(tokens * shape.vocabulary * BYTES_PER_LOGIT),
    )


def _weights(shape: ModelShape, lora: int) -> float:
    """Bytes of all weights in fp32, and of gradients and Adam's moments of those that are trained."""
    adapters = shape.adapters(lora)
    trained = adapters if lora else shape.parameters
    return (shape.parameters + adapters) * FP32 + trained * (FP32 + ADAM)


def rollout_memory(shape: ModelShape, tensor_parallel: int, max_model_len: int, requests: int = 32) -> float:
    """Estimate what vLLM needs on one GPU: its share of the weights and of the cache of `requests` requests.

    With one request vLLM starts; with fewer than about 32 the rollout waits for room in the cache.
    """
    cache = shape.kv_bytes_per_token * max_model_len * requests
    return (shape.parameters * BF16 + cache) / tensor_parallel + VLLM_OVERHEAD


def host_memory(parameters: float, offloaded: bool, reference: bool, gpus: int = 8) -> float:
    """Estimate the host memory of one node that holds so many parameters for its GPUs.

    offloaded: weights and Adam's moments lie in pinned memory between the phases. Each tensor is rounded up to a power
    of two, which costs 1.35 to 1.75 times their size; 1.75 is taken. reference: a frozen copy in fp32 lies there, too.
    """
    pinned = 1.75 * parameters
    processes = HOST_BASE + HOST_PER_GPU * gpus
    return processes + pinned * ((FP32 + ADAM) * offloaded + FP32 * reference)


def host_memory_without_gpu(parameters: float, workers: int, with_vllm: bool) -> float:
    """Estimate the memory of a run on a CPU: nano was seen to need 1.5 to 4 GB, SmolLM2-135M 9 to 13."""
    return CPU_BASE + CPU_PER_WORKER * workers + CPU_VLLM * with_vllm + CPU_BYTES_PER_PARAMETER * parameters


def checkpoint_bytes(parameters: float, optimizer: bool = True, trained: float | None = None) -> float:
    """Size of one checkpoint: fp32 weights, with Adam's two moments unless they are dropped.

    trained: how many parameters have moments, where these are adapters beside the model's; None: all of them.
    """
    if trained is None:
        return parameters * (FP32 + ADAM * optimizer)
    return (parameters + trained) * FP32 + trained * ADAM * optimizer
