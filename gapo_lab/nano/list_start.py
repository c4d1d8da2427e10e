"""Make nano's second checkpoint, for `data=lists`: nano taught to answer with an item of the list, and unevenly.

    python -m gapo_lab.nano.list_start --out DIR

It starts from nano's own weights. Of a list's items the k-th is taught with a share that falls by `decay` from one
item to the next, so that the answers collapse on few items, as those of large models do: that is what group-aware
GAPO is to undo. With one thread the same arguments give the same weights on the same machine and torch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from gapo_lab.data.lists import SEPARATOR, generate, score_choice
from gapo_lab.data.prompt import load_template, messages
from gapo_lab.data.store import TEMPLATES
from gapo_lab.data.task import Task
from gapo_lab.diversity import diversity
from gapo_lab.nano import tokenizer as vocabulary
from gapo_lab.nano.warm_start import Example, _loss, _renamed, replaceable, save


@dataclass(frozen=True)
class ListStart:
    """How long, how hard and how unevenly to teach.

    `renamed` is the share of examples in which three words are replaced by random pieces of the vocabulary, so that
    the model copies words instead of knowing them.
    """

    steps: int = 400
    batch: int = 32
    rate: float = 1e-3
    decay: float = 0.5
    renamed: float = 0.5
    seed: int = 0


def prompt_ids(tokenizer, tasks: list[Task]) -> list[list[int]]:
    """The token ids of each list's prompt."""
    template = load_template(TEMPLATES["lists"])
    texts = tokenizer.apply_chat_template(
        [messages(task, template) for task in tasks], add_generation_prompt=True, tokenize=False
    )
    return tokenizer(texts, add_special_tokens=False)["input_ids"]


def train(settings: ListStart, tokenizer, report=None):
    """Nano's own weights, taught for `settings.steps` steps. `report(step, loss)` is called after each."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    model = AutoModelForCausalLM.from_pretrained(vocabulary.FOLDER, dtype=torch.float32).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.rate, betas=(0.9, 0.98), weight_decay=0.1)
    for step, rows in zip(range(1, settings.steps + 1), _batches(settings, tokenizer)):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * min(1.0, step / 20) * (1 - 0.9 * step / settings.steps)
        loss = _loss(model, rows, tokenizer.pad_token_id, smoothing=0.0)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if report:
            report(step, loss.item())
    return model.eval()


def _batches(settings: ListStart, tokenizer) -> Iterator[list[Example]]:
    """Batches of ever new lists, each with one of its items as the answer."""
    rng = Random(settings.seed)
    words = replaceable(tokenizer)
    chunk = 0
    while True:
        tasks = generate("train", 32 * settings.batch, seed=1_000_000 + chunk)
        rows = []
        for task, prompt in zip(tasks, prompt_ids(tokenizer, tasks), strict=True):
            items = task.truth.split(SEPARATOR)
            weights = [settings.decay**place for place in range(len(items))]
            chosen = rng.choices(items, weights)[0]
            answer = [*tokenizer.encode(chosen, add_special_tokens=False), tokenizer.eos_token_id]
            row = Example((*prompt, *answer), (*[0.0] * len(prompt), *[1.0] * len(answer)))
            rows.append(_renamed(row, rng, words) if rng.random() < settings.renamed else row)
        for start in range(0, len(rows), settings.batch):
            yield rows[start : start + settings.batch]
        chunk += 1


def measure(
    model, tokenizer, split: str, lists: int = 24, samples: int = 48, seed: int = 0
) -> dict[str, float]:
    """JSD to uniform, unique items and share invalid, a mean over unseen lists, sampled at T=1."""
    from gapo_lab.training.sampling import SamplingParams, sample

    tasks = generate(split, lists)
    rows, _ = sample(model, prompt_ids(tokenizer, tasks), samples, SamplingParams(24), {tokenizer.eos_token_id},
                     tokenizer.pad_token_id, seed)  # fmt: skip
    texts = tokenizer.batch_decode(rows, skip_special_tokens=True)
    found = []
    for number, task in enumerate(tasks):
        scored = [score_choice(text, task.truth) for text in texts[number * samples : (number + 1) * samples]]
        found.append(diversity([int(one["item"]) for one in scored], int(scored[0]["choices"])))
    return {name: sum(one[name] for one in found) / len(found) for name in found[0]}


def main(arguments: list[str] | None = None) -> None:
    """Teach, measure, save."""
    parser = argparse.ArgumentParser(
        prog="python -m gapo_lab.nano.list_start", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint folder to write")
    for name, value in vars(ListStart()).items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    asked = vars(parser.parse_args(arguments))
    out = asked.pop("out")
    tokenizer = vocabulary.load()
    began = time.monotonic()

    def report(step: int, loss: float) -> None:
        if step % 50 == 0:
            print(f"step {step}  loss {loss:.3f}  {time.monotonic() - began:.0f} s", flush=True)

    model = train(ListStart(**asked), tokenizer, report)
    save(model, tokenizer, out)
    for split in ("id", "ood"):
        print(split, {name: round(value, 3) for name, value in measure(model, tokenizer, split).items()})


if __name__ == "__main__":
    main()
