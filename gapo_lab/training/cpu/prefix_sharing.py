"""Rollouts of one prompt as one sequence: the prompt is computed once, nothing of what is computed changes.

verl gives the actor each rollout as a row of its own, prompt and answer, padded to the longest. With short answers most
of its work is the same prompt again and padding. Here the rows of a prompt become one row: the prompt without
its last token, then for each answer the prompt's last token and the answer without its own last. An attention
mask keeps the answers apart, the positions are those of the rows, so every answer's token sees what it saw before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class SharedPrompts:
    """How T packed tokens of B rows become G rows of L, one a prompt.

    source: (G, L), which packed token stands there; 0 in padding. member: (G, L), 0 for the prompt's tokens, 1, 2, ...
    for those of its answers, -1 in padding. predicts, predicted_at: (A,) each, the places in the flattened (G, L) whose
    outputs tell of the answers' tokens, and those in the packed T where verl looks for them (one before the token).
    """

    source: Tensor
    member: Tensor
    predicts: Tensor
    predicted_at: Tensor

    @cached_property
    def attention(self) -> Tensor:
        """(G, 1, L, L), True where a token (third axis) sees another (fourth)."""
        own = self.member.unsqueeze(1) == self.member.unsqueeze(2)
        return (own | (self.member == 0).unsqueeze(1)).tril().unsqueeze(1)

    def is_less(self, rows: int, longest: int) -> bool:
        """Whether this is less to compute than so many rows, padded to the longest: in tokens and in pairs of them."""
        groups, width = self.source.shape
        return groups * width < rows * longest and groups * width**2 <= rows * longest**2

    def unpack(self, outputs: Tensor, tokens: int) -> Tensor:
        """One number a place, (G, L) -> (tokens,); zero at the prompts, which no loss reads."""
        chosen = outputs.flatten().index_select(0, self.predicts)
        return outputs.new_zeros(tokens).index_copy(0, self.predicted_at, chosen)


def share_prompts(tokens: Tensor, offsets: Tensor, answers: Tensor) -> SharedPrompts:
    """tokens: (T,), the rows one after the other. offsets: (B + 1,), where they begin and end. answers: (B,), how
    many tokens at the end of each row are its answer; each row has at least one more."""
    ids, bounds, lengths = tokens.numpy(), offsets.tolist(), answers.tolist()
    # by prompt: the packed indices of a group, and how many are the prompt's and each answer's
    groups: dict[bytes, tuple[list[np.ndarray], list[int]]] = {}
    numbers: dict[bytes, int] = {}
    found: list[tuple[int, int, int, int]] = []  # a row's group, its place there, where verl looks, how many
    for start, end, answer in zip(bounds[:-1], bounds[1:], lengths, strict=True):
        last = end - answer - 1  # the prompt's last token predicts the answer's first
        prompt = ids[start : last + 1].tobytes()
        parts, sizes = groups.setdefault(prompt, ([np.arange(start, last)], [last - start]))
        found.append((numbers.setdefault(prompt, len(numbers)), sum(sizes), last, answer))
        parts.append(np.arange(last, end - 1))
        sizes.append(answer)
    width = max(sum(sizes) for _, sizes in groups.values())
    source = np.zeros((len(groups), width), dtype=np.int64)
    member = np.full((len(groups), width), -1)
    for row, (parts, sizes) in enumerate(groups.values()):
        source[row, : sum(sizes)] = np.concatenate(parts)
        member[row, : sum(sizes)] = np.repeat(np.arange(len(sizes)), sizes)
    return SharedPrompts(
        source=torch.from_numpy(source),
        member=torch.from_numpy(member),
        predicts=_ranges((group * width + place, answer) for group, place, _, answer in found),
        predicted_at=_ranges((last, answer) for _, _, last, answer in found),
    )


def _ranges(starts_and_sizes) -> Tensor:
    return torch.cat([torch.arange(start, start + size) for start, size in starts_and_sizes])
