"""From the words of `data=` to two parquet files in verl's format, made once and kept.

Everything over-long is left out here, once, and not in every job. The folder's name is a hash of what the rows
were made from; `about.json` holds a hash of the rows themselves, which goes into the run's provenance.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gapo_lab.data import content_digest
from gapo_lab.data.ood import registry as ood
from gapo_lab.data.ood import zeta
from gapo_lab.data.prepared_key import made_from
from gapo_lab.data.tasks.prompt import Budget, Template, load_template, messages
from gapo_lab.data.tasks.task import DEV, GREEDY_AGENT, SAMPLED_AGENT, Task, verl_row
from gapo_lab.data.user_rows import rows as user_rows
from gapo_lab.errors import UserError
from gapo_lab.utils import atomic_files

HALVINGS = 3  # how often the window of a prompt that is too long is halved


@dataclass(frozen=True)
class Prepared:
    """Where the rows lie, and what is known about them."""

    folder: Path
    about: dict[str, Any]

    @property
    def train(self) -> Path:
        return self.folder / "train.parquet"

    @property
    def val(self) -> Path:
        return self.folder / "val.parquet"


def prepare(data: Mapping[str, Any], tokenizer, root: Path) -> Prepared:
    """Make the rows that `data` describes, or find them made.

    data: the `data` node of a run's configuration. tokenizer: the model's, which decides what is too long.
    Raises UserError when nothing is left to train on or a batch would be larger than the training set. Processes that
    ask for the same rows at the same time make them once.
    """
    template = "" if data["name"] == "parquet" else repr(template_of(data))
    recipe = made_from(data, tokenizer, template)
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True, default=str).encode()).hexdigest()[:12]
    folder = Path(root) / f"{data['name']}-{digest}"
    if not (folder / "about.json").exists():
        with atomic_files.alone(folder):
            if not (folder / "about.json").exists():
                return _write(folder, _all_rows(data, tokenizer, folder.parent), data, tokenizer, recipe)
    return Prepared(folder, atomic_files.read_json(folder / "about.json"))


def _all_rows(data: Mapping[str, Any], tokenizer, root: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of each set: `train`, then the test sets."""
    if data["name"] == "parquet":
        return user_rows.rows_of(data)
    splits = {split: rows_of(tasks, split, data, tokenizer) for split, tasks in TASKS[data["name"]](data, root).items()}
    return {**splits, "ood": _ood_rows(data, tokenizer)}


def _micro(data: Mapping[str, Any], root: Path) -> dict[str, list[Task]]:
    from gapo_lab.data.micro.generator import generate

    seed = data["generator_seed"]
    held = generate("id", data["id_size"], seed)
    dev = generate("dev", data["dev_size"], seed, without={task.id for task in held})
    return {"train": generate("train", data["train_size"], seed), "id": held, "dev": dev}


def _micro_blocks(data: Mapping[str, Any], root: Path) -> dict[str, list[Task]]:
    from gapo_lab.data.micro.blocks import generate

    return {split: generate(split, data[f"{split}_size"], data["generator_seed"]) for split in ("train", "id", "dev")}


def _git(data: Mapping[str, Any], root: Path) -> dict[str, list[Task]]:
    from gapo_lab.data.mining import dataset
    from gapo_lab.data.tasks.parquet_rows import read_tasks

    if data["path"]:
        folder = Path(data["path"]).expanduser()
        dataset.read(folder)
    else:
        folder = mined_by_runs(data, root)
        with atomic_files.alone(folder):  # runs of other models mine the same
            dataset.make(data["repos"], folder, options(data))
    train, held = (list(read_tasks(folder / f"{split}.parquet")) for split in dataset.SPLITS)
    held = sorted(held, key=lambda task: task.provenance["time"])
    older = held[: -data["id_size"]]
    return {"train": train, "id": held[-data["id_size"] :], "dev": older[-data["dev_size"] :]}


def mined_by_runs(data: Mapping[str, Any], root: Path) -> Path:
    """The folder below `root` that a run mines the repositories of `data=git` into; it need not be there."""
    digest = hashlib.sha256(f"{content_digest.of({**data, 'ood': 'micro'})} {options(data)}".encode()).hexdigest()[:12]
    return root / f"mined-{digest}"


def options(data: Mapping[str, Any]):
    """The miner's options that the words of `data=git` say."""
    from gapo_lab.data.mining import dataset
    from gapo_lab.data.mining.rules import Rules

    # not the template: a run renders its prompts itself
    same = ("since", "until", "max_per_repo", "split", "id_share", "leaks", "window", "history")
    return dataset.Options(
        rules=Rules(no_change=data["no_change"], private=data["private"]),
        test_repos=tuple(data["test_repos"]),
        **{key: data[key] for key in same},
    )


def _lists(data: Mapping[str, Any], root: Path) -> dict[str, list[Task]]:
    from gapo_lab.data.lists.generator import generate

    seed, samples = data["generator_seed"], data["samples"]
    held = generate("id", data["id_size"], seed, samples)
    dev = generate("dev", data["dev_size"], seed, samples, without={task.id for task in held})
    return {"train": generate("train", data["train_size"], seed), "id": held, "dev": dev}


TASKS = {"micro": _micro, "micro_blocks": _micro_blocks, "git": _git, "lists": _lists}
# Built-in templates other than the one for edits.
TEMPLATES = {"lists": Path(__file__).parent / "lists" / "template.txt"}


def template_of(data: Mapping[str, Any]) -> Template:
    """The template that a run's `data` node asks for, or the built-in one for its kind of data."""
    return load_template(data["template"] or TEMPLATES.get(data["name"]))


def _ood_rows(data: Mapping[str, Any], tokenizer) -> list[dict[str, Any]]:
    """The OOD test set; zeta in its own words when `data.ood_prompt` is `own`, everything else in ours."""
    tasks = ood.tasks(data)
    found = rows_of(tasks, "ood", data, tokenizer)
    if data["ood"] == "zeta" and data["ood_prompt"] == "own":
        for row, raw in zip(found, ood.read("zeta", data["ood_path"]), strict=False):
            row["prompt"] = [{"role": "user", "content": zeta.prompt(raw)}]
            row["reward_model"]["ground_truth"] = zeta.target(raw["output"])
            row["extra_info"]["answer"] = "region"
    return found


def rows_of(
    tasks: Sequence[Task], source: str, data: Mapping[str, Any], tokenizer=None, greedy: bool = False
) -> list[dict[str, Any]]:
    """Tasks as rows of verl's parquet format; `source` becomes the name of the validation set.

    With a tokenizer a prompt that is too long is rendered again with half the window, as often as HALVINGS says.
    """
    template, budget = template_of(data), _budget(data, tokenizer)
    system_role = data.get("system_role", True)

    def prompt(task: Task) -> list[dict[str, str]]:
        for halved in range(HALVINGS + 1):
            some = replace(budget, window=budget.window >> halved, history=budget.history >> halved)
            found = messages(task, template, some, system_role)
            if tokenizer is None or _prompt_tokens(found, data, tokenizer) <= data["max_prompt_length"]:
                break
        return found

    name, agent = (f"{source}_greedy", GREEDY_AGENT) if greedy else (source, SAMPLED_AGENT)
    return [
        verl_row(task, index, name, agent, prompt(task), answer="text", raw=False) for index, task in enumerate(tasks)
    ]


def _budget(data: Mapping[str, Any], tokenizer) -> Budget:
    if data["window_tokens"] is None:
        return Budget(data["window"], data["history"])

    def ends(text: str) -> list[int]:
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return [end for _, end in encoded["offset_mapping"]]

    return Budget(data["window_tokens"], data["history"], ends)


def _write(folder: Path, splits: dict[str, list[dict]], data, tokenizer, recipe) -> Prepared:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kept, dropped = {}, {}
    for split, rows in splits.items():
        kept[split] = [row for row in rows if fits(row, data, tokenizer)]
        dropped[split] = len(rows) - len(kept[split])
    if not kept["train"] or not kept["id"]:
        raise UserError(
            f"data={data['name']}: no example is left for {'training' if not kept['train'] else 'the ID test set'} "
            f"({dropped['train']} were longer than data.max_prompt_length={data['max_prompt_length']} or "
            f"data.max_response_length={data['max_response_length']} tokens); raise them or give more repositories"
        )
    for split, rows in splits.items():
        if rows and not kept[split]:
            said = f"data.ood={data['ood']}" if split == "ood" else f"the test set {split}"
            raise UserError(
                f"{said}: all {dropped[split]} examples are longer than data.max_prompt_length="
                f"{data['max_prompt_length']} or data.max_response_length={data['max_response_length']} tokens; raise "
                "them"
            )
    if len(kept["train"]) < data["train_batch_size"]:
        raise UserError(
            f"data={data['name']}: {len(kept['train'])} examples to train on ({dropped['train']} were too long) are "
            f"less than one batch of data.train_batch_size={data['train_batch_size']}; make it "
            "smaller or give more data"
        )
    val = []
    # all rows of a validation report the same numbers
    raw = any(row["extra_info"].get("answer") == "region" for row in kept.get("ood", ()))
    tests = [split for split in kept if split not in ("train", DEV)]
    for row in (row for split in (*tests, DEV) for row in kept.get(split, ())):
        if data["name"] != "parquet":
            row["extra_info"]["raw"] = raw
    for split in tests:
        val += kept[split]
        if data["greedy"]:
            val += [{**row, "data_source": f"{split}_greedy", "agent_name": GREEDY_AGENT} for row in kept[split]]
    # a run from before there was dev goes on with its data
    digest = hashlib.sha256(json.dumps([kept["train"], val], sort_keys=True).encode()).hexdigest()[:16]
    val += kept.get(DEV, [])
    about = {
        "recipe": recipe,
        "rows": {split: len(rows) for split, rows in kept.items()},
        "too_long": dropped,
        "digest": digest,
    }
    atomic_files.make_folder(folder)
    for name, rows in (("train", kept["train"]), ("val", val)):
        with atomic_files.replacing(folder / f"{name}.parquet") as file:
            pq.write_table(pa.Table.from_pylist(rows), file)
    atomic_files.write_json(folder / "about.json", about)
    return Prepared(folder, about)


def fits(row: Mapping[str, Any], data: Mapping[str, Any], tokenizer) -> bool:
    """Whether prompt and truth keep within the token limits (one token is left for the end mark).

    The truth of a row of one's own need not be an answer (it may be a number, or tests): only its prompt is measured.
    """
    if _prompt_tokens(row["prompt"], data, tokenizer) > data["max_prompt_length"]:
        return False
    if data["name"] == "parquet":
        return True
    truth = tokenizer.encode(row["reward_model"]["ground_truth"], add_special_tokens=False)
    return len(truth) < data["max_response_length"]


def _prompt_tokens(prompt: Sequence[Mapping[str, str]], data: Mapping[str, Any], tokenizer) -> int:
    words = {"tokenize": True, "return_dict": False, **data.get("apply_chat_template_kwargs", {})}
    return len(tokenizer.apply_chat_template(prompt, add_generation_prompt=True, **words))
