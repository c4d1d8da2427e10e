"""From the words of `data=` to two parquet files in verl's format, made once and kept.

Everything over-long is left out here, once, and not in every job. The folder's name is a hash of what the rows
were made from; `about.json` holds a hash of the rows themselves, which goes into the run's provenance.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gapo_lab import files
from gapo_lab.data.prompt import load_template, messages
from gapo_lab.data.task import Task
from gapo_lab.errors import UserError

GREEDY_AGENT = "single_turn_greedy"
SAMPLED_AGENT = "single_turn_agent"


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
    Raises UserError when nothing is left to train on or a batch would be larger than the training set.
    """
    recipe = {
        "data": {key: data[key] for key in sorted(data) if key in RECIPE_KEYS},
        "source": _source_digest(data),
        "vocabulary": hashlib.sha256(json.dumps(sorted(tokenizer.get_vocab().items())).encode()).hexdigest()[
            :12
        ],
        "chat_template": hashlib.sha256(str(tokenizer.chat_template).encode()).hexdigest()[:12],
    }
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True, default=str).encode()).hexdigest()[:12]
    folder = Path(root) / f"{data['name']}-{digest}"
    if (folder / "about.json").exists():
        return Prepared(folder, files.read_json(folder / "about.json"))
    splits = TASKS[data["name"]](data)
    return _write(folder, splits, data, tokenizer, recipe)


# What decides which rows come out; everything else in the `data` node is verl's own.
RECIPE_KEYS = frozenset(
    [
        "name",
        "generator_seed",
        "train_size",
        "id_size",
        "ood_size",
        "repos",
        "max_per_repo",
        "id_share",
        "template",
        "window",
        "greedy",
        "max_prompt_length",
        "max_response_length",
        "apply_chat_template_kwargs",
        "system_role",
    ]
)


def _micro(data: Mapping[str, Any]) -> dict[str, list[Task]]:
    from gapo_lab.data.micro import generate

    sizes = {"train": data["train_size"], "id": data["id_size"], "ood": data["ood_size"]}
    return {split: generate(split, size, seed=data["generator_seed"]) for split, size in sizes.items()}


def _git(data: Mapping[str, Any]) -> dict[str, list[Task]]:
    from gapo_lab.data.git import mine, split_by_time
    from gapo_lab.data.micro import generate

    train: list[Task] = []
    held: list[Task] = []
    for repo in data["repos"]:
        older, newer = split_by_time(mine(repo, limit=data["max_per_repo"]).tasks, id_share=data["id_share"])
        train += older
        held += newer
    ood = generate("ood", data["ood_size"], seed=data["generator_seed"])
    return {"train": train, "id": held[-data["id_size"] :], "ood": ood}


TASKS = {"micro": _micro, "git": _git}


def _source_digest(data: Mapping[str, Any]) -> dict[str, str]:
    """What the rows come from beside the settings: our own generators' code, a repository's newest commit."""
    code = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        code.update(path.read_bytes())
    source = {"code": code.hexdigest()[:12], "template": load_template(data["template"]).user}
    if data["name"] == "git":
        from gapo_lab.data.git import head

        source.update({str(repo): head(repo) for repo in data["repos"]})
    return source


def rows_of(
    tasks: Sequence[Task], source: str, data: Mapping[str, Any], greedy: bool = False
) -> list[dict[str, Any]]:
    """Tasks as rows of verl's parquet format; `source` becomes the name of the validation set."""
    template = load_template(data["template"])
    return [
        {
            "data_source": f"{source}_greedy" if greedy else source,
            "agent_name": GREEDY_AGENT if greedy else SAMPLED_AGENT,
            "prompt": messages(task, template, data["window"], data.get("system_role", True)),
            "ability": "code_edit",
            "reward_model": {"style": "rule", "ground_truth": task.truth},
            "extra_info": {"index": index, "id": task.id, "language": task.language, "kind": task.kind},
        }
        for index, task in enumerate(tasks)
    ]


def _write(folder: Path, splits: dict[str, list[Task]], data, tokenizer, recipe) -> Prepared:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kept, dropped = {}, {}
    for split, tasks in splits.items():
        rows = rows_of(tasks, split, data)
        kept[split] = [row for row in rows if fits(row, data, tokenizer)]
        dropped[split] = len(rows) - len(kept[split])
    if not kept["train"] or not kept["id"]:
        raise UserError(
            f"data={data['name']}: no task is left for {'training' if not kept['train'] else 'the ID test set'} "
            f"({dropped['train']} were longer than data.max_prompt_length={data['max_prompt_length']} or "
            f"data.max_response_length={data['max_response_length']} tokens); raise them or give more repositories"
        )
    val = []
    for split in ("id", "ood"):
        val += kept[split]
        if data["greedy"]:
            val += [
                {**row, "data_source": f"{split}_greedy", "agent_name": GREEDY_AGENT} for row in kept[split]
            ]
    about = {
        "recipe": recipe,
        "rows": {"train": len(kept["train"]), "id": len(kept["id"]), "ood": len(kept["ood"])},
        "too_long": dropped,
        "digest": hashlib.sha256(json.dumps([kept["train"], val], sort_keys=True).encode()).hexdigest()[:16],
    }
    files.make_folder(folder)
    for name, rows in (("train", kept["train"]), ("val", val)):
        aside = folder / f".{name}.parquet"
        with files.writing(aside):
            pq.write_table(pa.Table.from_pylist(rows), aside)
            aside.replace(folder / f"{name}.parquet")
    files.write_json(folder / "about.json", about)
    return Prepared(folder, about)


def fits(row: Mapping[str, Any], data: Mapping[str, Any], tokenizer) -> bool:
    """Whether prompt and truth keep within the token limits (one token is left for the end mark)."""
    prompt = tokenizer.apply_chat_template(
        row["prompt"], add_generation_prompt=True, tokenize=True, return_dict=False,
        **data.get("apply_chat_template_kwargs", {}),
    )  # fmt: skip
    truth = tokenizer.encode(row["reward_model"]["ground_truth"], add_special_tokens=False)
    return len(prompt) <= data["max_prompt_length"] and len(truth) < data["max_response_length"]
