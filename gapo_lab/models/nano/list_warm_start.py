"""Make nano's second checkpoint, for `data=lists`: nano taught to answer with an item of the list, and unevenly.

    python -m gapo_lab.models.nano.list_warm_start --out DIR

It starts from nano's own weights. Of a list's items the k-th is taught with a share that falls by `decay` from one
item to the next, so that the answers collapse on few items, as those of large models do: that is what group-aware
GAPO is to undo. With one thread the same arguments give the same weights on the same machine and torch.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from gapo_lab.data.lists.generator import SEPARATOR, generate, score_choice
from gapo_lab.data.prepare import TEMPLATES
from gapo_lab.data.tasks.prompt import load_template, messages
from gapo_lab.data.tasks.task import Task
from gapo_lab.models.nano import tokenizer as vocabulary
from gapo_lab.models.nano.warm_start import asked, replaceable, save, update
from gapo_lab.rewards.list_diversity import diversity
from gapo_lab.utils import command_line


@dataclass(frozen=True)
class ListStart:
    """How long, how hard and how unevenly to teach.

    `renamed` is the share of lists whose items are replaced by random pieces of the vocabulary, so that the model
    copies words instead of knowing them.
    """

    steps: int = 1000
    batch: int = 32
    rate: float = 2e-3
    decay: float = 0.6
    renamed: float = 0.6
    seed: int = 0


@dataclass(frozen=True)
class Example:
    """The token ids of a list's prompt, and of its items, one token each, as they stand in it."""

    prompt: tuple[int, ...]
    items: tuple[int, ...]


def prompt_ids(tokenizer, tasks: list[Task]) -> list[list[int]]:
    """Return the token ids of each list's prompt."""
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
    for step, rows in zip(range(1, settings.steps + 1), _batches(settings, tokenizer), strict=False):
        loss = _loss(model, rows, settings.decay, tokenizer)
        update(model, optimizer, loss, settings.rate * min(1.0, step / 20) * (1 - 0.9 * step / settings.steps))
        if report:
            report(step, loss.item())
    return model.eval()


def _batches(settings: ListStart, tokenizer) -> Iterator[list[Example]]:
    """Batches of ever new lists."""
    rng = Random(settings.seed)
    words = replaceable(tokenizer)
    chunk = 0
    while True:
        tasks = generate("train", 32 * settings.batch, seed=1_000_000 + chunk)
        rows = [
            Example(tuple(prompt), tuple(_one_token(item, tokenizer) for item in task.truth.split(SEPARATOR)))
            for task, prompt in zip(tasks, prompt_ids(tokenizer, tasks), strict=True)
        ]
        rows = [_renamed(row, rng, words) if rng.random() < settings.renamed else row for row in rows]
        for start in range(0, len(rows), settings.batch):
            yield rows[start : start + settings.batch]
        chunk += 1


def _one_token(item: str, tokenizer) -> int:
    (token,) = tokenizer.encode(item, add_special_tokens=False)  # nano's vocabulary has every word of the lists
    return token


def _renamed(row: Example, rng: Random, words: list[int]) -> Example:
    """Return the list with random pieces of the vocabulary as its items: copying must not depend on words."""
    new = dict(zip(row.items, rng.sample(words, len(row.items)), strict=True))
    return Example(tuple(new.get(token, token) for token in row.prompt), tuple(new[item] for item in row.items))


def _loss(model, rows: list[Example], decay: float, tokenizer):
    """How far the answer's distribution is from the one that is taught, and the end after it from certain.

    All items of a list are taught at once, each with its share: a sampled one at a time takes several times the steps.
    """
    import torch
    from torch.nn.functional import cross_entropy

    every = torch.arange(len(rows))
    asked = torch.tensor([len(row.prompt) - 1 for row in rows])
    ids = torch.full((len(rows), int(asked.max()) + 2), tokenizer.pad_token_id)
    taught = torch.zeros(len(rows), len(tokenizer))
    for number, row in enumerate(rows):
        shares = torch.tensor([decay**place for place in range(len(row.items))])
        taught[number, list(row.items)] = shares / shares.sum()
        ids[number, : len(row.prompt)] = torch.tensor(row.prompt)
    ids[every, asked + 1] = taught.multinomial(1).squeeze(1)
    states = model.model(input_ids=ids, use_cache=False).last_hidden_state
    ends = torch.full((len(rows),), tokenizer.eos_token_id)
    return cross_entropy(model.lm_head(states[every, asked]), taught) + cross_entropy(
        model.lm_head(states[every, asked + 1]), ends
    )


def measure(model, tokenizer, split: str, lists: int = 24, samples: int = 48, seed: int = 0) -> dict[str, float]:
    """JSD to uniform, unique items and share invalid, a mean over unseen lists, sampled at T=1."""
    from gapo_lab.models.sampling import SamplingParams, sample

    tasks = generate(split, lists)
    rows, _ = sample(
        model,
        prompt_ids(tokenizer, tasks),
        samples,
        SamplingParams(24),
        {tokenizer.eos_token_id},
        tokenizer.pad_token_id,
        seed,
    )
    texts = tokenizer.batch_decode(rows, skip_special_tokens=True)
    found = []
    for number, task in enumerate(tasks):
        scored = [score_choice(text, task.truth) for text in texts[number * samples : (number + 1) * samples]]
        found.append(diversity([int(one["item"]) for one in scored], int(scored[0]["choices"])))
    return {name: sum(one[name] for one in found) / len(found) for name in found[0]}


def main(arguments: list[str] | None = None) -> None:
    """Teach, measure, save."""
    settings, out = asked("list_warm_start", __doc__, ListStart, arguments)
    tokenizer = vocabulary.load()
    began = time.monotonic()

    def report(step: int, loss: float) -> None:
        if step % 50 == 0:
            print(f"step {step}  loss {loss:.3f}  {time.monotonic() - began:.0f} s", flush=True)

    model = train(settings, tokenizer, report)
    save(model, tokenizer, out)
    for split in ("id", "ood"):
        print(split, {name: round(value, 3) for name, value in measure(model, tokenizer, split).items()})


if __name__ == "__main__":
    sys.exit(command_line.script(main))
