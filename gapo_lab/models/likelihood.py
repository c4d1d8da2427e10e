"""How likely a model gives a certain answer to a prompt: one teacher-forced forward pass, no sampling."""

from __future__ import annotations

from collections.abc import Sequence

import torch

# Tokens of one forward pass, padding included.
TOKENS = 16384


def truth_ids(tokenizer, truth: str) -> list[int]:
    """The tokens of an answer that is `truth` and then ends, as the tokenizer writes the text."""
    return [*tokenizer.encode(truth, add_special_tokens=False), tokenizer.eos_token_id]


@torch.no_grad()
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
    device = next(model.parameters()).device
    rows = [[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
    found = {temperature: [0.0] * len(rows) for temperature in temperatures}
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    while order:
        part = order[-max(1, TOKENS // len(rows[order[-1]])) :]
        del order[-len(part) :]
        width = max(len(rows[i]) for i in part)
        ids = torch.tensor([[*rows[i], *[pad_id] * (width - len(rows[i]))] for i in part], device=device)
        # the row, and the place before each of its answer's tokens
        places = [
            (row, len(rows[i]) - len(answers[i]) - 1 + k) for row, i in enumerate(part) for k in range(len(answers[i]))
        ]
        row, before = torch.tensor(places, device=device).T
        states = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[row, before]
        logits, tokens = model.get_output_embeddings()(states).float(), ids[row, before + 1]
        for temperature, likely in found.items():
            logs = (logits / temperature).log_softmax(dim=-1).gather(1, tokens.unsqueeze(1)).squeeze(1)
            sums = torch.zeros(len(part), dtype=torch.float64).index_add(0, row.cpu(), logs.double().cpu())
            for place, i in enumerate(part):
                likely[i] = float(sums[place])
    return found
