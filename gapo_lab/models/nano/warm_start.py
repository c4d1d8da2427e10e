"""Make nano's checkpoint: a short supervised start on micro edits, so that RL has something to reward.

    python -m gapo_lab.models.nano.warm_start --out DIR
    python -m gapo_lab.models.nano.warm_start --out DIR --size nano_large

With one thread the same arguments give the same weights on the same machine and torch.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gapo_lab.data.micro.generator import generate
from gapo_lab.data.tasks.task import Task
from gapo_lab.errors import UserError
from gapo_lab.models.nano import network
from gapo_lab.models.nano import tokenizer as vocabulary
from gapo_lab.models.nano.exact_match import exact_match, prompt_ids
from gapo_lab.utils import command_line

IGNORE = -100
CHUNK = 4096


@dataclass(frozen=True)
class Teaching:
    """How long and how hard to teach.

    `history_weight` is the weight of the history's added lines, where the model learns to copy. `smoothing`
    (label smoothing) keeps the answer's distribution wide, which RL narrows. `renamed` is the share of
    examples whose words are replaced by random ones, so that copying also works in unseen languages.
    """

    steps: int = 1300
    batch: int = 32
    rate: float = 3e-3
    warmup: int = 30
    smoothing: float = 0.1
    history_weight: float = 0.3
    renamed: float = 0.5
    weight_decay: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class WarmStart(Teaching):
    """How to teach a new model of this size."""

    size: str = "nano"


@dataclass(frozen=True)
class Example:
    """Token ids of prompt, answer and end; `weights` (same length) is each token's share in the loss."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]


def train(settings: WarmStart, tokenizer, report=None):
    """Return a model taught for `settings.steps` steps. `report(step, loss, model)` is called after each step."""
    model = network.build(len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id, settings.seed, settings.size)
    return teach(model, settings, tokenizer, partial(generate, "train"), report)


def teach(model, settings: Teaching, tokenizer, draw: Callable[[int, int], list[Task]], report=None):
    """`model` after `settings.steps` steps on tasks that `draw(size, seed)` gives."""
    import torch

    torch.set_num_threads(1)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay
    )
    model.train()
    for step, rows in zip(range(1, settings.steps + 1), _batches(settings, tokenizer, draw), strict=False):
        loss = _loss(model, rows, tokenizer.pad_token_id, settings.smoothing)
        update(model, optimizer, loss, settings.rate * _schedule(step, settings))
        if report:
            report(step, loss.item(), model)
    return model.eval()


def update(model, optimizer, loss, rate: float) -> None:
    """One step along the gradient of `loss`, clipped to norm 1."""
    import torch

    for group in optimizer.param_groups:
        group["lr"] = rate
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def examples(tasks: list[Task], tokenizer, history_weight: float) -> list[Example]:
    """Prompt and answer as one sequence; the answer weighs 1, the history's added lines `history_weight`."""
    added = tokenizer.convert_tokens_to_ids("Ċ+")
    ends = {tokenizer.convert_tokens_to_ids(m) for m in ("<|file|>", "<|code|>")}
    truths = tokenizer([t.truth for t in tasks], add_special_tokens=False)["input_ids"]
    found = []
    for prompt, truth in zip(prompt_ids(tokenizer, tasks), truths, strict=True):
        weights, inside = [], False
        for token in prompt:
            inside = inside and token not in ends
            weights.append(history_weight if inside else 0.0)
            inside = inside or token == added
        answer = [*truth, tokenizer.eos_token_id]
        found.append(Example((*prompt, *answer), (*weights, *[1.0] * len(answer))))
    return found


def save(model, tokenizer, out: Path) -> None:
    """Write the checkpoint folder whole, or not at all."""
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    model.save_pretrained(draft)
    tokenizer.save_pretrained(draft)
    if out.exists():
        shutil.rmtree(out)
    os.replace(draft, out)


def _schedule(step: int, settings: Teaching) -> float:
    """Linear up over `warmup` steps, then linear down to a tenth."""
    if step <= settings.warmup:
        return step / settings.warmup
    return 1 - 0.9 * (step - settings.warmup) / max(1, settings.steps - settings.warmup)


def _batches(settings: Teaching, tokenizer, draw: Callable[[int, int], list[Task]]) -> Iterator[list[Example]]:
    """Batches of examples of like length, from ever new tasks."""
    rng = random.Random(settings.seed)
    words = replaceable(tokenizer)
    chunk = 0
    while True:
        tasks = draw(CHUNK, 1_000_000 * (settings.seed + 1) + chunk)
        rows = sorted(examples(tasks, tokenizer, settings.history_weight), key=lambda e: len(e.ids))
        rows = [_renamed(r, rng, words) if rng.random() < settings.renamed else r for r in rows]
        starts = list(range(0, CHUNK - settings.batch + 1, settings.batch))
        rng.shuffle(starts)
        for start in starts:
            yield rows[start : start + settings.batch]
        chunk += 1


def replaceable(tokenizer) -> list[int]:
    """Return the token ids that may stand for one another: all but the markers and the line ends."""
    fixed = set(tokenizer.get_added_vocab().values())
    fixed |= set(tokenizer.convert_tokens_to_ids(["Ċ", "Ċ-", "Ċ+"]))
    return [i for i in range(len(tokenizer)) if i not in fixed]


def _renamed(example: Example, rng: random.Random, words: list[int]) -> Example:
    """Return the example with three of its words replaced throughout by random ones: copying must not depend on
    words."""
    own = sorted(set(example.ids) & set(words))
    new = dict(zip(rng.sample(own, 3), rng.sample(words, 3), strict=True))
    return Example(tuple(new.get(t, t) for t in example.ids), example.weights)


def _loss(model, rows: list[Example], pad: int, smoothing: float):
    """Weighted mean of the token losses; `rows` are padded on the right."""
    import torch

    width = max(len(r.ids) for r in rows)
    ids = torch.tensor([[*r.ids, *[pad] * (width - len(r.ids))] for r in rows])
    weights = torch.tensor([[*r.weights, *[0.0] * (width - len(r.weights))] for r in rows])[:, 1:]
    states = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    counted = weights > 0
    logits = model.lm_head(states[counted])
    losses = torch.nn.functional.cross_entropy(logits, ids[:, 1:][counted], reduction="none", label_smoothing=smoothing)
    return (losses * weights[counted]).sum() / weights[counted].sum()


def main(arguments: list[str] | None = None) -> None:
    """Teach, measure on 512 ID and 256 OOD tasks, save."""
    import torch

    settings, out = asked("warm_start", __doc__, WarmStart, arguments)
    if settings.size not in network.SIZES:
        raise UserError(f"--size {settings.size}: no such size. Take one of {', '.join(network.SIZES)}")
    tokenizer = vocabulary.train()
    began = time.monotonic()

    def report(step: int, loss: float, _model) -> None:
        if step % 50 == 0:
            print(f"step {step}  loss {loss:.3f}  {time.monotonic() - began:.0f} s", flush=True)

    # what is measured is what is written: rounded where the checkpoint is
    model = train(settings, tokenizer, report).to(getattr(torch, network.SIZES[settings.size].dtype))
    save(model, tokenizer, out)
    model = model.float()
    for split, size in (("id", 512), ("ood", 256)):
        tasks = generate(split, size)
        torch.manual_seed(0)
        greedy, sampled = (exact_match(model, tokenizer, tasks, t) for t in (0.0, 1.0))
        print(f"{split}: exact match {greedy:.1%} greedy, {sampled:.1%} sampled at T=1")


def asked(program: str, about: str, kind: type, arguments: list[str] | None) -> tuple[Any, Path]:
    """Return the settings, of dataclass `kind`, that the words of a command say, and the folder to write."""
    parser = argparse.ArgumentParser(
        prog=f"python -m gapo_lab.models.nano.{program}", description=about.splitlines()[0]
    )
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint folder to write")
    for name, value in vars(kind()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    words = vars(command_line.parse(parser, arguments))
    out = words.pop("out")
    if words["steps"] < 1:
        raise UserError(f"--steps {words['steps']}: not 1 or above. Give the number of steps")
    return kind(**words), out


if __name__ == "__main__":
    sys.exit(command_line.script(main))
