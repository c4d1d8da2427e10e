"""RL on generated edits without verl, to look for a recipe: `python -m bench.bare_loop --model DIR --lr 5e-4`.

The repository's sampler, prompt sharing, estimators and reward; clipping 0.2 and 0.28, token mean, no KL. One thread,
without verl's processes. What it finds must be seen once more with verl (docs/nano.md).
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gapo_lab.data.micro import blocks, generator
from gapo_lab.data.tasks.task import Task
from gapo_lab.methods import ESTIMATORS
from gapo_lab.models.likelihood import log_likelihoods, truth_ids
from gapo_lab.models.nano import tokenizer as vocabulary
from gapo_lab.models.nano.exact_match import LONGEST_ANSWER, prompt_ids
from gapo_lab.models.sampling import SamplingParams, sample
from gapo_lab.rewards import edit_reward, expected_match
from gapo_lab.training.cpu.prefix_sharing import share_prompts

DATA = {"micro": generator.generate, "micro_blocks": blocks.generate}
LOW, HIGH = 0.2, 0.28


@dataclass(frozen=True)
class Recipe:
    """What is tried. `mini`: updates a step; `every`: steps between two measurements; `test`: ID tasks."""

    model: str
    data: str = "micro_blocks"
    algo: str = "grpo"
    steps: int = 60
    lr: float = 5e-4
    prompts: int = 32
    n: int = 8
    mini: int = 2
    schedule: str = "cosine"
    seed: int = 0
    every: int = 20
    test: int = 384
    weight_decay: float = 0.1


@dataclass
class Loop:
    """A model in training, its tasks, and how many seconds of it were steps."""

    recipe: Recipe
    model: Any
    tokenizer: Any
    train: list[Task]
    test: list[Task]
    seconds: float = 0.0
    order: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, recipe: Recipe) -> Loop:
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(1)
        torch.manual_seed(recipe.seed)
        draw = DATA[recipe.data]
        model = AutoModelForCausalLM.from_pretrained(recipe.model, dtype=torch.float32).eval()
        return cls(recipe, model, vocabulary.load(), draw("train", 4096), draw("id", recipe.test))

    def run(self) -> None:
        """Train, and print a line of each measurement and of each tenth step."""
        recipe, rng = self.recipe, random.Random(self.recipe.seed)
        prompts = prompt_ids(self.tokenizer, self.train)
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
        print(self.measure(0), flush=True)
        for step in range(1, recipe.steps + 1):
            began = time.monotonic()
            if len(self.order) < recipe.prompts:
                self.order += rng.sample(range(len(self.train)), len(self.train))
            chosen = [self.order.pop() for _ in range(recipe.prompts)]
            for group in optimizer.param_groups:
                group["lr"] = recipe.lr * _share(recipe.schedule, (step - 1) / recipe.steps)
            said = self.step([prompts[i] for i in chosen], [self.train[i].truth for i in chosen], step, optimizer)
            self.seconds += time.monotonic() - began
            if step % 10 == 0:
                print(f"step {step}  {self.seconds:.0f} s  {said}", flush=True)
            if step % recipe.every == 0:
                print(self.measure(step), flush=True)

    def step(self, prompts: list[list[int]], truths: list[str], step: int, optimizer) -> str:
        """Roll out, reward, and update once for each mini-batch."""
        recipe = self.recipe
        answers, likely = sample(
            self.model,
            prompts,
            recipe.n,
            SamplingParams(LONGEST_ANSWER),
            {self.tokenizer.eos_token_id},
            self.tokenizer.pad_token_id,
            recipe.seed * 100_003 + step,
            log_probs=True,
        )
        texts = self.tokenizer.batch_decode(answers, skip_special_tokens=True)
        scores = [edit_reward.score(text, truths[row // recipe.n]) for row, text in enumerate(texts)]
        rewards = torch.tensor([one["score"] for one in scores], dtype=torch.float64)
        groups = torch.arange(recipe.prompts).repeat_interleave(recipe.n)
        advantages = ESTIMATORS[recipe.algo](rewards, groups).float()
        share = recipe.prompts // recipe.mini * recipe.n
        for start in range(0, len(answers), share):
            rows = range(start, start + share)
            rollouts = [(prompts[row // recipe.n], answers[row], (likely or [])[row]) for row in rows]
            self.policy_loss(rollouts, advantages[start : start + share]).backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        right = sum(one["em"] for one in scores) / len(scores)
        return f"exact match {right:.1%}  reward {rewards.mean():.3f}"

    def policy_loss(self, rollouts: Sequence[tuple[list[int], list[int], list[float]]], advantages: Tensor) -> Tensor:
        """Return the clipped loss, a mean over tokens, of rollouts (prompt, answer, log-probs) and their advantages
        (R,)."""
        rows = [torch.tensor(prompt + answer) for prompt, answer, _ in rollouts]
        lengths = torch.tensor([len(answer) for _, answer, _ in rollouts])
        tokens, offsets = torch.cat(rows), torch.tensor([0, *map(len, rows)]).cumsum(0)
        shared = share_prompts(tokens, offsets, lengths)
        positions = torch.cat([torch.arange(len(row)) for row in rows])
        states = self.model.model(
            input_ids=tokens[shared.source],
            attention_mask=shared.attention,
            position_ids=positions[shared.source],
            use_cache=False,
        ).last_hidden_state.flatten(0, 1)[shared.predicts]
        logs = self.model.lm_head(states).log_softmax(-1).gather(1, tokens[shared.predicted_at + 1].unsqueeze(1))
        old = torch.tensor([value for *_, values in rollouts for value in values])
        ratio = (logs.squeeze(1) - old).exp()
        weights = advantages.repeat_interleave(lengths)
        return torch.maximum(-weights * ratio, -weights * ratio.clamp(1 - LOW, 1 + HIGH)).mean()

    def measure(self, step: int) -> str:
        """Greedy and expected exact match on the ID tasks, in all and by kind (greedy)."""
        prompts = prompt_ids(self.tokenizer, self.test)
        eos, pad = {self.tokenizer.eos_token_id}, self.tokenizer.pad_token_id
        rows, _ = sample(self.model, prompts, 1, SamplingParams(LONGEST_ANSWER, temperature=0.0), eos, pad, seed=0)
        texts = self.tokenizer.batch_decode(rows, skip_special_tokens=True)
        right: dict[str, list[bool]] = defaultdict(list)
        for task, text in zip(self.test, texts, strict=True):
            right[task.kind].append(text.strip() == task.truth.strip())
        every = [one for found in right.values() for one in found]
        truths = [truth_ids(self.tokenizer, task.truth) for task in self.test]
        logs = log_likelihoods(self.model, prompts, truths, (1.0, 0.5), pad)
        found = expected_match.metrics(logs)
        kinds = "  ".join(f"{kind} {sum(found) / len(found):.0%}" for kind, found in sorted(right.items()))
        return (
            f"after {step} steps, {self.seconds:.0f} s: greedy {sum(every) / len(every):.1%}  expected "
            f"{found['em_expected']:.1%}, at T=0.5 {found['em_expected_t50']:.1%}  ({kinds})"
        )


def _share(schedule: str, done: float) -> float:
    """Return the share of the rate when this part of the steps is done."""
    return {"cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done, "constant": 1.0}[schedule]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.bare_loop", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", required=True, help="a checkpoint folder of nano's")
    for name, value in vars(Recipe("")).items():
        if name != "model":
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    recipe = Recipe(**vars(parser.parse_args()))
    if not Path(recipe.model).is_dir():
        parser.error(f"--model {recipe.model}: no such folder")
    print(recipe)
    Loop.of(recipe).run()


if __name__ == "__main__":
    main()
