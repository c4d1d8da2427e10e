"""verl's FSDP engine, registered for the CPU, with a reference model that asks for no pinned memory."""

from __future__ import annotations

import gapo_lab.training.cpu_platform  # noqa: F401  the engine's module asks for the platform when imported

from verl.workers.engine.base import EngineRegistry  # isort: skip
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead  # isort: skip


@EngineRegistry.register(model_type="language_model", backend="fsdp2", device="cpu")
class CpuFSDPEngine(FSDPEngineWithLMHead):
    """FSDP2 on gloo."""

    def _build_fsdp_module(self, module):
        """verl offloads a forward-only model to pinned host memory; here it is on the host already."""
        forward_only = self.engine_config.forward_only
        object.__setattr__(self.engine_config, "forward_only", False)
        try:
            return super()._build_fsdp_module(module)
        finally:
            object.__setattr__(self.engine_config, "forward_only", forward_only)
