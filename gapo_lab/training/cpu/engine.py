"""verl's FSDP engine for the CPU: no pinned memory, and the rollouts of a prompt share its computation."""

from __future__ import annotations

import torch
from tensordict import LazyStackedTensorDict
from torch.distributed.tensor import DTensor

import gapo_lab.training.cpu.platform  # noqa: F401  the engine's module asks for the platform when imported
from gapo_lab.models.adapters import merged
from gapo_lab.training.cpu.prefix_sharing import share_prompts

from verl.utils import tensordict_utils as tu  # isort: skip
from verl.workers.engine.base import EngineRegistry  # isort: skip
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead  # isort: skip

# The key under which `prepare_model_inputs` hands the layout on to `prepare_model_outputs`.
SHARED = "shared_prompts"
# What verl's engine reads of a row beside tensors.
READ = ("multi_modal_inputs",)


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

    def get_per_tensor_param(self, **words):
        """As verl's; with LoRA the merged weights in fp32, where verl would send adapters, or round to bf16."""
        if not self.model_config.lora_rank:
            return super().get_per_tensor_param(**words)
        whole = {name: _whole(value) for name, value in self.module.state_dict().items()}
        return iter(merged(whole, self.model_config.lora_alpha / self.model_config.lora_rank).items()), None

    def forward_backward_batch(self, data, loss_function, forward_only=False):
        """As verl's, on the tensors only: it would copy names, data sources and ground truths row by row."""
        texts = [key for key, value in data.items() if isinstance(value, LazyStackedTensorDict) and key not in READ]
        return super().forward_backward_batch(data.exclude(*texts), loss_function, forward_only)

    def prepare_model_inputs(self, micro_batch):
        """As verl's, with one row a prompt where that is less to compute (`shared_prompts`)."""
        if not self._may_share(micro_batch):
            return super().prepare_model_inputs(micro_batch)
        rows = micro_batch["input_ids"]
        tokens, offsets = rows.values(), rows.offsets()
        shared = share_prompts(tokens, offsets, micro_batch["responses"].offsets().diff())
        if not shared.is_less(len(rows), int(offsets.diff().max()) - 1):
            return super().prepare_model_inputs(micro_batch)
        inputs = {
            "input_ids": tokens[shared.source],
            "position_ids": micro_batch["position_ids"].values()[shared.source],
            "attention_mask": shared.attention,
            "shift_labels": tokens.roll(-1)[shared.source],
            "temperature": micro_batch["temperature"],
            "return_dict": True,
        }
        return inputs, {SHARED: shared}

    def _may_share(self, micro_batch) -> bool:
        """Text whose log-probs the model itself computes, with padding: what conf/backend/cpu.yaml asks for. And a
        model that takes our mask as it is: other attentions than torch's add it to their scores, or know no mask."""
        asked = {
            name: tu.get_non_tensor_data(data=micro_batch, key=name, default=default)
            for name, default in (
                ("use_remove_padding", True),
                ("use_fused_kernels", False),
                ("distillation_use_topk", False),
            )
        }
        plain = micro_batch["position_ids"].dim() == 2 and "multi_modal_inputs" not in micro_batch
        here = asked.pop("use_fused_kernels") and not any(asked.values())
        return plain and here and _takes_masks(self.module.config)

    def prepare_model_outputs(self, output, output_args, micro_batch, logits_processor_func):
        """Log-probs, and entropy where asked for, of every row again, as verl's (zero at the prompts)."""
        shared = output_args.get(SHARED)
        if shared is None:
            return super().prepare_model_outputs(output, output_args, micro_batch, logits_processor_func)
        offsets = micro_batch["input_ids"].offsets()
        wanted = {"log_probs": output.log_probs}
        if tu.get_non_tensor_data(data=micro_batch, key="calculate_entropy", default=False):
            wanted["entropy"] = output.entropy
        return {
            name: torch.nested.nested_tensor_from_jagged(shared.unpack(values, int(offsets[-1])), offsets)
            for name, values in wanted.items()
        }


def _whole(value: torch.Tensor) -> torch.Tensor:
    return value.full_tensor() if isinstance(value, DTensor) else value


def _takes_masks(model) -> bool:
    """Whether every layer of a model with this configuration sees what a boolean mask shows it, all or nothing."""
    windowed = getattr(model, "sliding_window", None) and getattr(model, "use_sliding_window", True)
    layers = set(getattr(model, "layer_types", None) or ())
    return model._attn_implementation == "sdpa" and not windowed and layers <= {"full_attention"}
