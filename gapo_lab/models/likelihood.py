"""How likely a model gives a certain answer to a prompt: one teacher-forced forward pass, no sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# Tokens of one forward pass on a CPU, padding included: what a core's caches hold is quickest.
TOKENS = 2048
# Log-probs that are computed at a time: they are fp32, and several of them.
LOGITS = 2**26

# (input ids, row and place before each asked token, temperatures) -> a row of log-probs for each temperature
Network = Callable[[Tensor, Tensor, Tensor, Sequence[float]], Tensor]


def truth_ids(tokenizer, truth: str) -> list[int]:
    """Return the tokens of an answer that is `truth` and then ends, as the tokenizer writes the text."""
    return [*tokenizer.encode(truth, add_special_tokens=False), tokenizer.eos_token_id]


def log_likelihoods(
    model: torch.nn.Module,
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    temperatures: Sequence[float],
    pad_id: int,
) -> dict[float, list[float]]:
    """For each temperature the log-probability of each answer's tokens together, given its prompt.

    prompts, answers: token ids; an answer's end mark is one of its tokens. Rows of like length go together.
    """
    found = torch.zeros(len(temperatures), len(prompts), dtype=torch.float64)

    def network(ids: Tensor, row: Tensor, before: Tensor, temperatures: Sequence[float]) -> Tensor:
        return log_probs(model, ids, row, before, temperatures)

    device = next(model.parameters()).device
    for part in batches([len(p) + len(a) for p, a in zip(prompts, answers, strict=True)], TOKENS):
        rows = [(prompts[i], answers[i]) for i in part]
        found[:, part] = sums(network, rows, temperatures, pad_id, device)
    return {temperature: values.tolist() for temperature, values in zip(temperatures, found, strict=True)}


def batches(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Share rows of these lengths out: the rows of each batch, longest first, with at most `tokens`, padding included.

    A longer row is a batch by itself.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    found = []
    while order:
        rows = max(1, tokens // lengths[order[0]])
        found.append(order[:rows])
        order = order[rows:]
    return found


@torch.no_grad()
def sums(
    network: Network,
    rows: Sequence[tuple[Sequence[int], Sequence[int]]],
    temperatures: Sequence[float],
    pad_id: int,
    device: torch.device | str,
) -> Tensor:
    """Return the log-probabilities of (prompt, answer) rows in one forward pass, (temperatures, rows), float64 on
    the CPU."""
    width = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids = torch.tensor([[*p, *a, *[pad_id] * (width - len(p) - len(a))] for p, a in rows])
    # the row, and the place before each of its answer's tokens; padding stands behind, where nothing sees it
    places = [(i, len(p) - 1 + k) for i, (p, a) in enumerate(rows) for k in range(len(a))]
    row, before = torch.tensor(places).T
    likely = network(ids.to(device), row.to(device), before.to(device), temperatures)
    zeros = torch.zeros(len(temperatures), len(rows), dtype=torch.float64)
    return zeros.index_add(1, row, likely.double().cpu())


def log_probs(
    model: torch.nn.Module, ids: Tensor, row: Tensor, before: Tensor, temperatures: Sequence[float]
) -> Tensor:
    """Return the log-probs of the tokens behind the places `before` of the rows `row`, (temperatures, A).

    model: of transformers; its output layer is computed at these places only. ids: (B, L). row, before: (A,).
    """
    states = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[row, before]
    # the output layer is called once: where FSDP wraps it by itself, each call gathers it from all workers, and all
    # must call it as often, whatever answers they have
    logits, tokens = model.get_output_embeddings()(states), ids[row, before + 1]
    size = max(1, LOGITS // model.config.vocab_size)
    found = []
    for some, asked in zip(logits.split(size), tokens.split(size), strict=True):
        whole = some.float()
        found.append(
            torch.stack([(whole / t).log_softmax(-1).gather(1, asked.unsqueeze(1)).squeeze(1) for t in temperatures])
        )
    return torch.cat(found, dim=1)
