"""Nano's network, in two sizes: a Llama of half a million or a million parameters that starts near to copying.

Every projection of attention begins near the identity, so heads match equal tokens from the first step; a
small rotary base keeps the few dozen positions of a micro edit apart.
"""

from __future__ import annotations

from dataclasses import dataclass

POSITIONS = 256


@dataclass(frozen=True)
class Size:
    """hidden: width. inner: width of the feed-forward part. dtype: what the checkpoint is written in."""

    hidden: int
    layers: int
    heads: int
    inner: int
    dtype: str


SIZES = {"nano": Size(128, 3, 4, 256, "float32"), "nano_large": Size(160, 4, 5, 320, "bfloat16")}


def build(vocabulary: int, pad: int, end: int, seed: int = 0, size: str = "nano"):
    """Return a new LlamaForCausalLM in float32 with the near-identity start; `size` is a name of SIZES."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = SIZES[size]
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=sizes.hidden,
        intermediate_size=sizes.inner,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.heads,
        max_position_embeddings=POSITIONS,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        tie_word_embeddings=True,
        pad_token_id=pad,
        eos_token_id=end,
        bos_token_id=None,
        dtype="float32",
    )
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        near_identity(model)
    return model


def near_identity(model) -> None:
    """Set q, k, v, o to the identity plus noise and the embedding to std hidden**-0.5, in place."""
    import torch

    hidden = model.config.hidden_size
    torch.nn.init.normal_(model.model.embed_tokens.weight, std=hidden**-0.5)
    for layer in model.model.layers:
        attention = layer.self_attn
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj):
            torch.nn.init.normal_(projection.weight, std=0.5 * hidden**-0.5)
            projection.weight += torch.eye(hidden) * 0.5
