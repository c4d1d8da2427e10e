"""A folder of mined tasks: `train.parquet`, `id.parquet`, and `about.json`, written last, which says it is whole."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gapo_lab.data.mining import parallel, split
from gapo_lab.data.mining.format import FORMAT, mined_digest
from gapo_lab.data.mining.rules import Rules, in_order, nothing_mined
from gapo_lab.data.mining.train_test_overlap import Leaks, Near
from gapo_lab.data.tasks import parquet_rows
from gapo_lab.data.tasks.prompt import Budget, load_template
from gapo_lab.errors import UserError
from gapo_lab.utils import atomic_files

SPLITS = ("train", "id")


@dataclass(frozen=True)
class Options:
    """How a set is made. `since`, `until`: ISO dates of commits; `max_per_repo`: of each repository the newest so many.

    `split`, `id_share`, `test_repos`: see `split.in_test`. `near`: near-duplicates of the test are left out of
    training. `leaks`: `report` those test truths that stand in training code, or `drop` them. `window`, `history`:
    characters of code and of earlier edits in the rendered prompt. `template`: a file, None for the built-in one.
    """

    rules: Rules = field(default_factory=Rules)
    since: str | None = None
    until: str | None = None
    max_per_repo: int | None = None
    split: str = "time"
    id_share: float = 0.07
    test_repos: tuple[str, ...] = ()
    near: bool = True
    leaks: str = "report"
    template: str | None = None
    window: int = 6000
    history: int = 8000

    def __post_init__(self):
        if self.max_per_repo is not None and self.max_per_repo < 1:
            raise UserError(f"max_per_repo={self.max_per_repo}: must be 1 or above; leave it out for all examples")
        if not 0 < self.id_share < 1:
            raise UserError(f"id_share={self.id_share}: must be between 0 and 1, such as 0.07")
        if self.split not in split.WAYS:
            raise UserError(f"split={self.split}: must be one of {', '.join(split.WAYS)}")
        if self.leaks not in ("report", "drop"):
            raise UserError(f"leaks={self.leaks}: must be report or drop")
        if min(self.window, self.history) < 0:
            raise UserError(f"window={self.window}, history={self.history}: must be 0 or above, in characters")


Hear = Callable[[parallel.Chunk, int], None]


def make(
    repos: Sequence[str | Path],
    out: Path,
    options: Options,
    workers: int | None = None,
    begin: Callable[[Sequence[parallel.Chunk]], Hear] = lambda work: lambda chunk, tasks: None,
) -> dict[str, Any]:
    """Mine `repos` into the folder `out` and return its `about.json`; a folder that is made already is only read.

    `begin` gets the work to do and returns what hears of each finished part. Raises UserError for repositories that
    cannot be read, when nothing is mined or left to train on, for a folder with something else in it, and for a full
    disk. What is finished when it ends early is kept and taken up by the next call.
    """
    found = parallel.sources(repos, parallel.date(options.since, "since"), parallel.date(options.until, "until"))
    asked = recipe(found, options)
    if about := _made(out, asked):
        return about
    atomic_files.make_folder(out)
    lock = atomic_files.try_lock(out / ".lock")
    if lock is None:
        raise UserError(f"{out}: another process is mining into this folder; wait for it or choose another one")
    try:
        parts = parallel.parts_folder(out)
        work = parallel.chunks(found, options.rules, options.template, Budget(options.window, options.history), parts)
        parallel.mine_parts(work, workers, begin(work))
        about = _assemble(found, [chunk.part for chunk in work], out, options)
        atomic_files.write_json(out / "about.json", {"recipe": asked, **about})
        shutil.rmtree(parts, ignore_errors=True)
    finally:
        os.close(lock)
    (out / ".lock").unlink(missing_ok=True)
    return read(out)


def recipe(found: Sequence[parallel.Source], options: Options) -> dict[str, Any]:
    """All that decides what comes out; no path of this machine is in it."""
    settings = {**asdict(options), "template": asdict(load_template(options.template))}
    settings["test_repos"] = list(options.test_repos)
    heads = [{"name": source.origin.name, "head": source.head} for source in found]
    return {"format": FORMAT, "repositories": heads, **settings}


def read(folder: Path) -> dict[str, Any]:
    """`about.json` of a mined folder. Raises UserError when the folder is not one."""
    mined_digest(folder)
    return atomic_files.read_json(folder / "about.json")


def _made(out: Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    if not (out / "about.json").exists():
        return None
    about = read(out)
    if about["recipe"] != asked:
        differ = sorted(key for key in asked if about["recipe"].get(key) != asked[key])
        raise UserError(
            f"{out}: holds data that were mined otherwise ({', '.join(differ)}); "
            "give another --out or remove the folder"
        )
    return about


# ---------------------------------------------------------------------------------- from parts to a set


def _assemble(found: Sequence[parallel.Source], parts: Sequence[Path], out: Path, options: Options) -> dict[str, Any]:
    drops = sum((parallel.part_drops(part) for part in parts), Counter())
    part_of, about, signatures = _read_about(parts)
    keep = _first_of_each(about["digest"])
    drops["duplicate"] += int((~keep).sum())
    if not keep.any():
        raise UserError(nothing_mined(", ".join(source.origin.name for source in found), drops))
    keep = _newest(keep, about["repository"], options.max_per_repo, drops)
    test = np.zeros(len(keep), bool)
    kept = np.flatnonzero(keep)
    repositories, times = ([about[name][one] for one in kept] for name in ("repository", "time"))
    test[kept] = split.in_test(repositories, times, options.split, options.id_share, options.test_repos)
    train = keep & ~test
    if options.near:
        near = Near(signatures(one) for one in np.flatnonzero(test))
        close = np.array([bool(train[one]) and near.has(signatures(one)) for one in range(len(train))], bool)
        drops["near-duplicate of the test"] += int(close.sum())
        train &= ~close
    if not train.any():
        raise UserError("all training examples are near-duplicates of the test; take more history or --keep-near")
    leaked = _leaked(parts, part_of, train, test)
    truths = int(test.sum())
    if options.leaks == "drop":
        drops["leaked"] += int(leaked.sum())
        test &= ~leaked
    names = about["repository"]
    written = {
        "train": _write(out / "train.parquet", "train", parts, part_of, train),
        "id": _write(out / "id.parquet", "id", parts, part_of, test),
    }
    shas = {f"{name}.parquet": sha for name, sha in written.items()}
    return {
        "rows": {"train": int(train.sum()), "id": int(test.sum())},
        "repositories": [
            {
                "name": source.origin.name,
                "head": source.head,
                "licence": source.origin.licence,
                "commits": len(source.commits),
                "tasks": sum(names[i] == source.origin.name for i in kept),
            }
            for source in found
        ],
        "drops": in_order(drops),
        "leaks": {"test_truths": truths, "verbatim_in_training_code": int(leaked.sum()), "then": options.leaks},
        "files": shas,
        "digest": hashlib.sha256("".join(shas.values()).encode()).hexdigest()[:16],
    }


def _read_about(parts: Sequence[Path]):
    """Of every row of all parts its part's number, the few facts that decide about it, and its signature."""
    part_of, signed = [], []
    about: dict[str, list] = defaultdict(list)
    for number, part in enumerate(parts):
        with parquet_rows.pq.ParquetFile(part) as file:
            table = file.read(columns=["digest", "signature", "extra_info.repository", "extra_info.time"])
        part_of += [number] * len(table)
        about["digest"] += table["digest"].to_pylist()
        info = table["extra_info"].combine_chunks()
        for name in ("repository", "time"):
            about[name] += info.field(name).to_pylist()
        signed.append(b"".join(table["signature"].to_pylist()))
    joined = b"".join(signed)
    size = len(joined) // max(1, len(part_of))
    return np.array(part_of, int), about, lambda one: joined[one * size : (one + 1) * size]


def _first_of_each(digests: Sequence[bytes]) -> np.ndarray:
    seen: set[bytes] = set()
    keep = np.zeros(len(digests), bool)
    for one, digest in enumerate(digests):
        if digest not in seen:
            seen.add(digest)
            keep[one] = True
    return keep


def _newest(keep: np.ndarray, names: Sequence[str], limit: int | None, drops: Counter) -> np.ndarray:
    if limit is None:
        return keep
    keep, taken = keep.copy(), Counter()
    for one in np.flatnonzero(keep)[::-1]:
        taken[names[one]] += 1
        if taken[names[one]] > limit:
            keep[one] = False
            drops["over max-per-repo"] += 1
    return keep


def _leaked(parts: Sequence[Path], part_of: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Which test tasks have a truth that stands verbatim in the code of a training task."""
    truths: list[str] = []
    for table in _tables(parts, part_of, test, ["reward_model.ground_truth"]):
        truths += table["reward_model"].combine_chunks().field("ground_truth").to_pylist()
    leaks = Leaks(truths)
    columns = ["task.prefix", "task.region", "task.suffix"]
    for table in _tables(parts, part_of, train, columns):
        task = table["task"].combine_chunks()
        pieces = [task.field(name) for name in ("prefix", "region", "suffix")]
        for code in pc.binary_join_element_wise(*pieces, ""):
            leaks.look_in(code.as_py())
    leaked = np.zeros(len(test), bool)
    leaked[np.flatnonzero(test)[sorted(leaks.found)]] = True
    return leaked


def _tables(parts: Sequence[Path], part_of: np.ndarray, chosen: np.ndarray, columns=None) -> Iterator[pa.Table]:
    """The chosen rows, a part at a time."""
    for number, part in enumerate(parts):
        mask = chosen[part_of == number]
        if mask.any():
            with parquet_rows.pq.ParquetFile(part) as file:
                yield file.read(columns=columns).filter(pa.array(mask))


def _write(path: Path, source: str, parts: Sequence[Path], part_of: np.ndarray, chosen: np.ndarray) -> str:
    """Write the chosen rows; the hash of the file."""
    written = 0
    with parquet_rows.whole(path) as out:
        for table in _tables(parts, part_of, chosen, parquet_rows.SCHEMA.names):
            numbered = parquet_rows.with_columns(table, source, range(written, written + len(table)))
            out.write_table(numbered.replace_schema_metadata(None))
            written += len(table)
    return file_hash(path)


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
