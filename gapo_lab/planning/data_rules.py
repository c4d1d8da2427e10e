"""What can be known to be wrong about a run's data before anything starts: names, files, columns, sizes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gapo_lab.config.view import ConfigView
from gapo_lab.data import content_digest
from gapo_lab.data.ood import registry as ood
from gapo_lab.data.user_rows import sets
from gapo_lab.planning import cost
from gapo_lab.planning.allowed_values import COUNT, wrong_values
from gapo_lab.utils.text import several

DATA = ("micro", "micro_blocks", "git", "lists", "parquet")


def _own_rows(config: ConfigView) -> Iterator[str]:
    """Check the overrides of `data=parquet`, and the columns of the files."""
    sizes = {f"data.{key}": f"{COUNT} or null" for key in ("train_size", "id_size", "dev_size", "ood_size")}
    wrong = [*wrong_values(config, sizes), *sets.problems(config.data)]
    yield from wrong
    if wrong:
        return
    yield from _enough(config)


def check_data(config: ConfigView) -> Iterator[str]:
    """Check what `data=` and its settings say."""
    wrong = list(_data_words(config))
    yield from wrong
    if config.data.name == "parquet":
        yield from _own_rows(config)
    elif not wrong:
        content_digest.of(config.data)
        yield from _enough(config)


def _enough(config: ConfigView) -> Iterator[str]:
    """Check that there is a batch to train on, where the rows are here or can at the most be so many."""
    rows, batch = cost.training_tasks(config.flat()), config.data.train_batch_size
    if rows is None or rows >= batch:
        return
    has, more = _amount(config, rows)
    few = f"less than one batch of data.train_batch_size={batch} prompts"
    yield f"{has} {few}. Give {_fitting(config, rows)}, or {more}"


def _amount(config: ConfigView, rows: int) -> tuple[str, str]:
    """Return how many rows there are to train on, as the setting says that decides, and what gives more."""
    data = config.data
    if data.name == "parquet":
        return f"data.train={data.train}: has {several(rows, 'row')},", "more rows"
    if data.name != "git":
        return f"data.train_size={rows} is", "a larger data.train_size"
    if cost.rows_here(config.flat()):
        has = f"has {several(rows, 'example')} to train on,"
    else:
        has = f"has {several(rows, 'example')} to train on at the most (data.max_per_repo={data.max_per_repo}),"
    if data.path:
        return f"data.path={data.path}: {has}", "mine more (docs/data.md)"
    return f"data.repos={','.join(map(str, data.repos))}: {has}", "more repositories (docs/data.md)"


def _fitting(config: ConfigView, rows: int) -> str:
    """Return the overrides of the largest batch that these rows fill and that mini-batches and workers divide."""
    mini, n = config.actor_rollout_ref.actor.ppo_mini_batch_size, config.actor_rollout_ref.rollout.n
    if rows >= mini:
        return f"data.train_batch_size={rows - rows % mini}"
    workers = config.trainer.n_gpus_per_node * config.trainer.nnodes
    size = next((size for size in range(rows, 0, -1) if size * n % workers == 0), rows)
    return f"data.train_batch_size={size} actor_rollout_ref.actor.ppo_mini_batch_size={size}"


def _data_words(config: ConfigView) -> Iterator[str]:
    data = config.data
    if data.name not in DATA:
        yield f"data.name={data.name}: no such data; there are {', '.join(DATA)}"
        return  # its keys are those of other data
    if data.name == "parquet":
        return
    if data.name in ("lists", "micro_blocks") and config.model.name == "nano_large":
        yield f"model=nano_large: was only taught edits of one line. Take model=nano for data={data.name}"
    if data.template is not None and not Path(data.template).is_file():
        yield f"data.template={data.template}: no such file. Leave the key out for the built-in template"
    if data.name == "git" and not data.path:
        if not data.repos:
            yield "data.repos: no repository. Give paths of git repositories on this machine"
        for repo in data.repos:
            if not Path(repo).is_dir():
                yield f"data.repos: {repo} is not a folder. Give paths of git repositories on this machine"
    if data.ood not in ood.NAMES:
        yield f"data.ood={data.ood}: no such set; there are {', '.join(ood.NAMES)}"
    whole_set = "" if data.ood in ood.GENERATED else " or null"
    sizes = {f"data.{name}_size": COUNT for name in ("train", "id", "dev")}
    yield from wrong_values(config, {**sizes, "data.ood_size": COUNT + whole_set})
