"""Batched sampling from a causal language model with a key-value cache. Pure torch and transformers.

Three things make it quicker than a plain batched `generate`: the rollouts of one prompt share its
prefill, rows that have ended leave the batch, and a batch is cut so that its cache stays near the processor.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Rows decoded at a time. Every token copies the cache of its batch: 1,536 prompts of the nano model took 6.0 s of CPU
# at once, 2.3 s in parts of 256 and 2.7 s in parts of 32.
ROWS = 256


@dataclass(frozen=True)
class SamplingParams:
    """How tokens are drawn. temperature 0 is greedy; top_k -1 and top_p 1 cut nothing."""

    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1


@torch.no_grad()
def sample(
    model: torch.nn.Module,
    prompts: list[list[int]],
    n: int,
    params: SamplingParams,
    eos_ids: set[int],
    pad_id: int,
    seed: int,
    log_probs: bool = False,
) -> tuple[list[list[int]], list[list[float]] | None]:
    """`n` answers for each prompt, prompt by prompt: len(prompts) * n lists of token ids, and their
    log-probabilities where asked for.

    An answer ends with its end-of-sequence token, or at `max_new_tokens` without one. The same arguments
    give the same answers. The cost of a step falls with the rows still open.
    """
    device = next(model.parameters()).device
    generator = torch.Generator(device=device).manual_seed(seed)
    size = max(1, ROWS // n)
    order = list(range(len(prompts)))
    if len(order) > size:  # prompts of a length together: little is computed for padding
        order.sort(key=lambda i: len(prompts[i]))
    answers: list[list[int]] = [[] for _ in range(len(prompts) * n)]
    likely: list[list[float]] = [[] for _ in answers]
    for first in range(0, len(order), size):
        part = order[first : first + size]
        found = _sample_together(model, [prompts[i] for i in part], n, params, eos_ids, pad_id, generator, log_probs)
        for place, i in enumerate(part):
            to, of = slice(i * n, (i + 1) * n), slice(place * n, (place + 1) * n)
            answers[to], likely[to] = found[0][of], found[1][of]
    return answers, likely if log_probs else None


def _sample_together(
    model: torch.nn.Module,
    prompts: list[list[int]],
    n: int,
    params: SamplingParams,
    eos_ids: set[int],
    pad_id: int,
    generator: torch.Generator,
    log_probs: bool,
) -> tuple[list[list[int]], list[list[float]]]:
    """`sample` in one batch; the log-probabilities are all 0 where they are not asked for."""
    device = generator.device
    lengths = torch.tensor([len(p) for p in prompts], device=device)
    width = int(lengths.max())
    ids = torch.full((len(prompts), width), pad_id, dtype=torch.long, device=device)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt, dtype=torch.long, device=device)
    mask = (torch.arange(width, device=device) >= (width - lengths).unsqueeze(1)).long()

    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
        use_cache=True,
        logits_to_keep=1,
    )
    cache, logits = out.past_key_values, out.logits[:, -1]
    if n > 1:
        cache.batch_repeat_interleave(n)
        logits = logits.repeat_interleave(n, dim=0)
        mask = mask.repeat_interleave(n, dim=0)
        lengths = lengths.repeat_interleave(n)

    answers: list[list[int]] = [[] for _ in range(len(prompts) * n)]
    likely: list[list[float]] = [[] for _ in answers]
    # which answer each row of the batch writes; None for a row that has ended but is still in the batch
    rows: list[int | None] = list(range(len(answers)))
    for step in range(params.max_new_tokens):
        tokens = draw(logits, params, generator)
        drawn = _log_probs(logits, tokens, params).tolist() if log_probs else [0.0] * len(rows)
        for place, token in enumerate(tokens.tolist()):
            number = rows[place]
            if number is None:
                continue
            answers[number].append(token)
            likely[number].append(drawn[place])
            if token in eos_ids:
                rows[place] = None
        still_open = [place for place, row in enumerate(rows) if row is not None]
        if not still_open or step == params.max_new_tokens - 1:
            break
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        # dropping rows copies the cache: only when it pays
        if len(still_open) <= 0.8 * len(rows):
            index = torch.tensor(still_open, device=device)
            cache.batch_select_indices(index)
            mask, tokens, lengths = mask[index], tokens[index], lengths[index]
            rows = [rows[place] for place in still_open]
        out = model(
            input_ids=tokens.unsqueeze(1),
            attention_mask=mask,
            position_ids=(lengths + step).unsqueeze(1),
            past_key_values=cache,
            use_cache=True,
        )
        logits = out.logits[:, -1]
    return answers, likely


def _log_probs(logits: Tensor, tokens: Tensor, params: SamplingParams) -> Tensor:
    """Log-probability of each row's token, (R, V), (R,) -> (R,), as the actor computes it: nothing cut."""
    scaled = logits.float() / (params.temperature or 1.0)
    return scaled.log_softmax(dim=-1).gather(1, tokens.unsqueeze(1)).squeeze(1)


def draw(logits: Tensor, params: SamplingParams, generator: torch.Generator) -> Tensor:
    """One token a row, (R, V) -> (R,)."""
    if params.temperature == 0:
        return logits.argmax(dim=-1)
    probabilities = torch.softmax(cut(logits.float() / params.temperature, params), dim=-1)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(1)


def cut(logits: Tensor, params: SamplingParams) -> Tensor:
    """Put what top-k and top-p leave out at minus infinity, (R, V) -> (R, V)."""
    if params.top_k > 0:
        floor = logits.topk(min(params.top_k, logits.shape[-1]), dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < floor, -torch.inf)
    if params.top_p < 1:
        ordered, order = logits.sort(dim=-1, descending=True)
        mass = ordered.softmax(dim=-1).cumsum(dim=-1)
        outside = (mass - ordered.softmax(dim=-1)) >= params.top_p
        logits = logits.masked_fill(outside.scatter(1, order, outside), -torch.inf)
    return logits
