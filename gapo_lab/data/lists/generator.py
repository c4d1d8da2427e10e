"""Lists to choose from: the model answers with one item, each as likely as the others (arXiv 2511.12596).

`train` has lists of 4 to 12 items; `dev`, `id` and `ood` have lists of 8 that training never shows, `ood` of words that
it never shows either; `dev` is drawn from the lists of `id` with other numbers. A test list is asked for `samples`
times, because how evenly the answers fall is seen over many.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from random import Random

from gapo_lab.data.micro.syntax import NOUNS
from gapo_lab.data.tasks.task import Task
from gapo_lab.errors import UserError

SPLITS = ("train", "dev", "id", "ood")
SHORTEST, LONGEST, TEST_LENGTH = 4, 12, 8
SEEN_WORDS, UNSEEN_WORDS = NOUNS[:-16], NOUNS[-16:]
SEPARATOR = "\n"  # between the items of a task's truth
_ID_SHARE = 8  # one list in eight belongs to `id`, the others to `train`


def generate(split: str, size: int, seed: int = 0, samples: int = 1, without: Collection[str] = ()) -> list[Task]:
    """`size` different lists of a split, each `samples` times; the same for the same arguments; no id of `without`.

    Raises UserError for an unknown split or for less than one list or sample.
    """
    if split not in SPLITS:
        raise UserError(f"split={split}: no such split of the lists; choose one of {', '.join(SPLITS)}")
    for name, value in (("size", size), ("samples", samples)):
        if value < 1:
            raise UserError(f"{name}={value}: must be at least 1")
    rng = Random(f"lists/{split}/{seed}")
    tasks: dict[str, Task] = {}
    while len(tasks) < size:
        length = rng.randint(SHORTEST, LONGEST) if split == "train" else TEST_LENGTH
        task = list_task(rng.sample(UNSEEN_WORDS if split == "ood" else SEEN_WORDS, length))
        if (split == "ood" or _belongs(task.id) == ("id" if split == "dev" else split)) and task.id not in without:
            tasks.setdefault(task.id, task)
    return [task for task in tasks.values() for _ in range(samples)]


def list_task(items: list[str]) -> Task:
    """A list as a task: the user's wish holds the items, and so does the truth, one a line."""
    name = hashlib.sha256(SEPARATOR.join(items).encode()).hexdigest()[:12]
    return Task(
        id=f"list-{name}",
        language="list",
        kind=f"choose_{len(items)}",
        path="",
        history=(),
        prefix="",
        region="",
        suffix="",
        cursor=0,
        truth=SEPARATOR.join(items),
        instruction=", ".join(items),
    )


def score_choice(answer: str, truth: str) -> dict[str, float]:
    """The reward of one answer by itself, and where in the list it is.

    Returns `score`, 1 for an item of the list and else -1; `em`, 1 or 0; `item`, the answer's place, -1 for none;
    `choices`, the length of the list. Which items a group has chosen too often is known to the method only.
    """
    items = truth.split(SEPARATOR)
    chosen = answer.strip()
    place = items.index(chosen) if chosen in items else -1
    valid = float(place >= 0)
    return {"score": 2 * valid - 1, "em": valid, "item": float(place), "choices": float(len(items))}


def _belongs(task_id: str) -> str:
    return "id" if int(task_id.rpartition("-")[2], 16) % _ID_SHARE == 0 else "train"
