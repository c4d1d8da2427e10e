"""One of two workers that hold a model together, cut as by verl's FSDP2 engine: `python two_workers.py RANK FOLDER`.

Writes what `of_share` says of its rows, and what the whole model says of all, into FOLDER/RANK.json.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.distributed as dist

TEMPERATURES = (1.0, 0.5)
# long answers for one worker, short ones for the other
ROWS = [([5, 6, 7], [8] * 40), ([9, 8], [7, 6])]


def main(rank: int, folder: Path) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from transformers import AutoModelForCausalLM, LlamaConfig

    from gapo_lab.models import likelihood
    from gapo_lab.training import shared_model

    torch.set_num_threads(1)
    meeting, patience = f"file://{folder}/meeting", timedelta(minutes=1)
    dist.init_process_group("gloo", rank=rank, world_size=2, init_method=meeting, timeout=patience)
    dist.barrier()  # importing verl takes one of them longer than the other
    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    shape = LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=2, tie_word_embeddings=False)
    model = AutoModelForCausalLM.from_config(shape).eval()
    prompts, answers = zip(*ROWS, strict=True)
    wanted = likelihood.log_likelihoods(model, prompts, answers, TEMPERATURES, pad_id=0)
    likelihood.TOKENS = 45  # a row a pass
    likelihood.LOGITS = 8 * shape.vocab_size  # the long answer is more than that at a time
    mesh = init_device_mesh("cpu", (2,))
    # as verl's apply_fsdp2 does where the output layer is not the embedding
    for part in (model.model.embed_tokens, *model.model.layers, model.lm_head, model):
        fully_shard(part, mesh=mesh, reshard_after_forward=True)
    limits = SimpleNamespace(infer_max_token_len_per_gpu=45)
    engine = SimpleNamespace(module=model, engine_config=limits, _autocast_dtype=torch.float32)
    found = shared_model.of_share(engine, ROWS, TEMPERATURES)
    (folder / f"{rank}.json").write_text(json.dumps({"found": found, "wanted": [wanted[t] for t in TEMPERATURES]}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
