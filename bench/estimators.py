"""The estimators as verl calls them, on the paper's batch: 512 prompts x 8 rollouts x 1024 tokens."""

from __future__ import annotations

import math
import os
import statistics
import uuid
from collections import defaultdict
from functools import partial

from bench.measurement import Row, side_by_side

PROMPTS, ROLLOUTS, TOKENS = 512, 8, 1024


def gapo_against_verl() -> list[Row]:
    """Measure gapo against verl's two GRPOs, each as registered with verl: (B, L) rewards in, (B, L) advantages out.

    With 1024 tokens, all three spend most of their time on summing and masking (B, L): they read 48 MB and write 16.
    So the ratio to a vectorised estimator cannot be far from 1. With one token per rollout only the estimators' own
    work is left. A run on a CPU gives each process one thread; on a GPU machine the trainer has all cores.
    The row "no estimator" is the cost of verl's interface alone: summing the rewards, numbering the uids and applying
    the integer mask. No estimator behind this interface can be faster.
    """
    import torch
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    from gapo_lab.training.registered_methods import outcome_advantage  # registers gapo, too

    rows = []
    for theirs, tokens, target, repeats, threads in (
        ("grpo_vectorized", TOKENS, 1.2, 41, 1),
        ("grpo", TOKENS, 1 / 20, 15, 1),
        ("grpo", TOKENS, 1 / 20, 15, os.cpu_count() or 1),
        ("grpo", 1, 1 / 20, 15, 1),
    ):
        torch.set_num_threads(threads)
        batch = {**_batch(PROMPTS, tokens), "config": {"gapo": {"tau": 0.5}}}
        ours, other = get_adv_estimator_fn("gapo"), get_adv_estimator_fn(theirs)
        seconds = side_by_side(partial(ours, **batch), partial(other, **batch), repeats)
        name = f"gapo / verl's {theirs}, {PROMPTS} x {ROLLOUTS} x {tokens}"
        rows.append(Row(name + (f", {threads} threads" if threads > 1 else ""), *seconds, target))
    torch.set_num_threads(1)
    batch = _batch(PROMPTS, TOKENS)
    nothing = partial(outcome_advantage, lambda rewards, groups: rewards, **batch, settings={})
    seconds = side_by_side(nothing, partial(get_adv_estimator_fn("grpo"), **batch, config={}), 15)
    return [*rows, Row(f"no estimator / verl's grpo, {PROMPTS} x {ROLLOUTS} x {TOKENS}", *seconds)]


def gapo_against_plain_python() -> list[Row]:
    """gapo against Algorithm 1 and Eq. 4 group by group, in plain Python over lists.

    512 x 8 x 1024: from (B, L) rewards to (B, L) advantages. 512 x 8: from one reward to one advantage per rollout.
    """
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    import gapo_lab.training.registered_methods  # noqa: F401  registers gapo
    from gapo_lab.methods.gapo import gapo

    batch = {**_batch(PROMPTS, TOKENS), "config": {"gapo": {"tau": 0.5}}}
    lists = batch["token_level_rewards"].tolist(), batch["response_mask"].tolist(), batch["index"].tolist()
    ours, theirs = partial(get_adv_estimator_fn("gapo"), **batch), partial(plain_estimator, *lists)
    whole = side_by_side(ours, theirs, 5)
    rewards, groups = _rewards(PROMPTS)
    values, labels = rewards.tolist(), groups.tolist()
    alone = side_by_side(lambda: gapo(rewards, groups), lambda: plain_gapo(values, labels, 0.5))
    return [
        Row(f"gapo / plain Python, {PROMPTS} x {ROLLOUTS} x {TOKENS}", *whole, 1 / 100),
        Row(f"gapo / plain Python, {PROMPTS} x {ROLLOUTS}", *alone),
    ]


def gapo_is_linear() -> list[Row]:
    """Cost of a group among 65,536 against the cost of a group among 1,024."""
    from gapo_lab.methods.gapo import gapo

    many, few = 65_536, 1_024
    large, small = _rewards(many), _rewards(few)
    seconds = side_by_side(lambda: gapo(*large), lambda: gapo(*small))
    return [Row(f"gapo, a group among {many:,} / among {few:,}", seconds[0] / many, seconds[1] / few, 1.5)]


def plain_estimator(rewards: list[list[float]], mask: list[list[int]], uids: list[str]) -> list[list[float]]:
    """Return what verl asks of an estimator, in plain Python: token rewards, mask and uids -> token advantages."""
    advantages = plain_gapo([sum(row) for row in rewards], uids, 0.5)
    return [[advantage * kept for kept in row] for advantage, row in zip(advantages, mask, strict=True)]


def plain_gapo(rewards: list[float], groups: list, tau: float) -> list[float]:
    """Algorithm 1 as the paper writes it, in plain Python, a group at a time."""
    members = defaultdict(list)
    for row, label in enumerate(groups):
        members[label].append(row)
    advantages = [0.0] * len(rewards)
    for rows in members.values():
        ordered = sorted(rewards[row] for row in rows)
        k = max(1, math.ceil(len(ordered) * tau - 1e-9))
        best, best_start = math.inf, 0
        for start in range(len(ordered) - k + 1):
            if ordered[start + k - 1] - ordered[start] < best:
                best, best_start = ordered[start + k - 1] - ordered[start], start
        q = statistics.median(ordered[best_start : best_start + k])
        scale = math.sqrt(sum((r - q) ** 2 for r in ordered) / len(ordered))
        for row in rows:
            advantages[row] = (rewards[row] - q) / scale if scale else 0.0
    return advantages


def _rewards(prompts: int):
    """Uniform rewards (B,) and their groups (B,)."""
    import torch

    generator = torch.Generator().manual_seed(0)
    groups = torch.arange(prompts).repeat_interleave(ROLLOUTS)
    return torch.rand(prompts * ROLLOUTS, generator=generator), groups


def _batch(prompts: int, tokens: int) -> dict:
    """Return what verl hands to an estimator: the reward on the last token, a mask, a uid a row."""
    import numpy as np
    import torch

    rewards, groups = _rewards(prompts)
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, tokens + 1, rewards.shape, generator=generator)
    mask = (torch.arange(tokens) < lengths.unsqueeze(1)).long()
    token_rewards = torch.zeros(len(rewards), tokens)
    token_rewards[torch.arange(len(rewards)), lengths - 1] = rewards
    uids = [str(uuid.UUID(int=i * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128)) for i in range(prompts)]
    index = np.array([uids[g] for g in groups.tolist()], dtype=object)
    return {"token_level_rewards": token_rewards, "response_mask": mask, "index": index}
