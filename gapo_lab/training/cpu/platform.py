"""A verl platform for machines without a GPU. verl ships none; `VERL_PLATFORM=cpu` chooses this one.

Ray knows no "CPU accelerator" that verl could count, so workers are booked as fake GPUs.
"""

from __future__ import annotations

import os
import types
from contextlib import contextmanager

import torch
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry


def _device_module() -> types.SimpleNamespace:
    """`torch.cpu` with the memory and random functions that verl asks a device module for."""
    nothing = {name: (lambda *_, **__: None) for name in ("empty_cache", "ipc_collect", "reset_peak_memory_stats")}
    zero = {
        name: (lambda *_, **__: 0)
        for name in ("memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved")
    }
    functions = {name: getattr(torch.cpu, name) for name in torch.cpu.__all__ if hasattr(torch.cpu, name)}
    functions.update(nothing)
    functions.update(zero)
    functions.update(
        is_available=lambda: False,
        get_device_name=lambda *_: "cpu",
        get_rng_state=torch.get_rng_state,
        set_rng_state=torch.set_rng_state,
        mem_get_info=lambda *_: (0, 0),
        manual_seed=torch.manual_seed,
        manual_seed_all=torch.manual_seed,
    )
    return types.SimpleNamespace(**functions)


DEVICE_MODULE = _device_module()


@PlatformRegistry.register(platform="cpu")
class PlatformCPU(PlatformBase):
    """Device "cpu", collectives by gloo, nothing to profile and no memory to manage."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = DEVICE_MODULE

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        # only when asked for by name: a machine with a GPU must not fall back to this one
        return os.environ.get("VERL_PLATFORM") == "cpu"

    def current_device(self) -> str:
        # verl passes this to Tensor.to()
        return "cpu"

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None:
        pass

    def synchronize(self, device_index: int | None = None) -> None:
        pass

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        pass

    def empty_cache(self) -> None:
        pass

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str):
        yield

    def profiler_start(self) -> None:
        pass

    def profiler_stop(self) -> None:
        pass

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    def is_ipc_supported(self) -> bool:
        return False

    def cudart(self) -> None:
        return None
