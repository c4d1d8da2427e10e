"""How likely the model that several workers hold together gives answers: each worker takes a share of the rows.

Knows nothing of verl but what its engine is made of; `actor.py` is the worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed
from transformers import PreTrainedModel

from gapo_lab.models import likelihood

Rows = Sequence[tuple[Sequence[int], Sequence[int]]]


def of_share(engine, rows: Rows, temperatures: Sequence[float]) -> list[tuple[int, list[float]]]:
    """As `LabWorker.log_likelihoods`, with verl's FSDP engine, which is in eval mode."""
    device = next(engine.module.parameters()).device
    tokens = likelihood.TOKENS if device.type == "cpu" else engine.engine_config.infer_max_token_len_per_gpu
    found = []
    with (
        answering(engine.module) as network,
        torch.autocast(device.type, engine._autocast_dtype, enabled=engine._autocast_dtype != torch.float32),
    ):
        for part in share(
            likelihood.batches([len(prompt) + len(answer) for prompt, answer in rows], tokens),
            torch.distributed.get_rank(),
            torch.distributed.get_world_size(),
        ):
            values = likelihood.sums(network, [rows[i] for i in part], temperatures, 0, device)
            found += zip(part, values.T.tolist(), strict=True)
    return found


def share(batches: list[list[int]], rank: int, workers: int) -> list[list[int]]:
    """Return the batches of one worker. Each has as many: parameters are gathered from all of them at each pass."""
    missing = -len(batches) % workers
    return (batches + [batches[-1][-1:]] * missing)[rank::workers]


@contextmanager
def answering(module: torch.nn.Module) -> Iterator[likelihood.Network]:
    """Yield the module as a network that gives log-probs of answers (`likelihood.log_probs`), for the time of the
    block.

    What is around the model itself, FSDP or an adapter, is called as ever: it gathers the parameters that the model's
    own forward, which is another one for this time, finds.
    """
    model = next(part for part in module.modules() if isinstance(part, PreTrainedModel))

    def forward(input_ids, asked, **_):
        return likelihood.log_probs(model, input_ids, *asked)

    def network(ids, row, before, temperatures):
        return module(input_ids=ids, asked=(row, before, temperatures))

    model.forward = forward
    try:
        yield network
    finally:
        del model.forward
