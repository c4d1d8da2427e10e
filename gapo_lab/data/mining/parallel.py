"""Mining on all cores: histories are cut into chunks of commits, each chunk becomes a part, a file of its own.

A part is there whole or not at all, so a mine that was stopped goes on with what is missing. Which process made a part
says nothing about what is in it: the output is the same for any number of workers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pygit2

from gapo_lab.data.mining.format import FORMAT
from gapo_lab.data.mining.miner import Miner, digest
from gapo_lab.data.mining.repository import Origin, first_parents, open_repository, origin
from gapo_lab.data.mining.rules import Rules
from gapo_lab.data.mining.train_test_overlap import signature
from gapo_lab.data.tasks import parquet_rows
from gapo_lab.data.tasks.prompt import Budget, load_template
from gapo_lab.errors import RunFailed, UserError
from gapo_lab.utils import atomic_files
from gapo_lab.utils.machine import cores
from gapo_lab.utils.processes import die_with_parent

CHUNK = 128  # commits of a part
PART_SCHEMA = parquet_rows.SCHEMA.append(pa.field("digest", pa.binary(16))).append(pa.field("signature", pa.binary()))


@dataclass(frozen=True)
class Source:
    """One repository as it is mined: where it lies, what holds for all its tasks, its commits, oldest first."""

    path: str
    origin: Origin
    head: str
    commits: tuple[str, ...]


@dataclass(frozen=True)
class Chunk:
    """What one part is made from, and where it is written."""

    path: str
    origin: Origin
    commits: tuple[str, ...]
    rules: Rules
    template: str | None
    budget: Budget
    part: Path


def sources(repos: Sequence[str | Path], since: datetime | None = None, until: datetime | None = None) -> list[Source]:
    """The repositories, each once, in the order given; names that two of them share get a number.

    Raises UserError as `open_repository` does.
    """
    found, names = [], Counter()
    for path in dict.fromkeys(str(Path(repo).resolve()) for repo in repos):
        repository = open_repository(path)
        about = origin(repository)
        names[about.name] += 1
        if names[about.name] > 1:
            about = Origin(f"{about.name}#{names[about.name]}", about.licence, about.header)
        commits = tuple(map(str, first_parents(repository, since, until)))
        found.append(Source(path, about, str(repository.head.target), commits))
    return found


def chunks(found: Sequence[Source], rules: Rules, template: str | None, budget: Budget, folder: Path) -> list[Chunk]:
    """Every history cut into parts. A part's name says what is in it, so that other settings find other parts."""
    text = asdict(load_template(template))
    cut = []
    for number, source in enumerate(found):
        for start in range(0, len(source.commits), CHUNK):
            commits = source.commits[start : start + CHUNK]
            content = [
                FORMAT,
                asdict(source.origin),
                commits,
                asdict(rules),
                text,
                budget.window,
                budget.history,
            ]
            name = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
            part = folder / f"{number:03d}-{start // CHUNK:06d}-{name}.parquet"
            cut.append(Chunk(source.path, source.origin, commits, rules, template, budget, part))
    return cut


def mine_parts(
    work: Sequence[Chunk], workers: int | None = None, done: Callable[[Chunk, int], None] = lambda *_: None
) -> None:
    """Make the parts that are not there yet; `done` hears of each with its number of tasks.

    `workers` processes, as many as there are cores when None; one works in this process. Raises UserError for a full
    disk and RunFailed when a worker was killed; the parts that are whole stay.
    """
    missing = [chunk for chunk in work if not chunk.part.exists()]
    for chunk in work:
        if chunk.part.exists():
            done(chunk, _part_rows(chunk.part))
    give_back_memory()
    workers = min(workers or cores(), len(missing))
    if workers <= 1:
        for chunk in missing:
            done(chunk, _mine_chunk(chunk))
        _miner.cache_clear()  # tens of megabytes that nothing needs now
        return
    # spawned, not forked: this process has threads (the progress bar, Arrow's)
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _stay_with, (os.getpid(),))
    try:
        with _deaf():  # the workers start here, and from their first moment on leave Ctrl-C to this process
            running = {pool.submit(_mine_chunk, chunk): chunk for chunk in missing}
        for future in as_completed(running):
            done(running[future], future.result())
    except BrokenProcessPool:
        raise RunFailed(
            "a worker was killed, perhaps for want of memory: give the same command again, with fewer --workers; "
            "finished parts are kept"
        ) from None
    except BaseException:
        for process in list(pool._processes.values()):  # a part takes seconds, and nobody wants it now
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def give_back_memory() -> None:
    """Arrow's own allocator keeps 160 MB that it was once given; the system's does not."""
    pa.set_memory_pool(pa.system_memory_pool())


def part_drops(part: Path) -> Counter:
    """What was left out of a part, by reason."""
    with parquet_rows.pq.ParquetFile(part) as file:
        return Counter(json.loads(file.schema_arrow.metadata[b"drops"]))


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Ctrl-C is not heard, nor by processes that are started meanwhile. Only the main thread can ask for that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _stay_with(parent: int) -> None:
    """A worker does not outlive its parent, however that ends."""
    give_back_memory()
    die_with_parent()
    if os.getppid() != parent:  # it has ended already
        sys.exit(1)


def _mine_chunk(chunk: Chunk) -> int:
    """Mine one chunk into its part; how many tasks it holds."""
    miner = _miner(chunk.path, chunk.origin, chunk.rules)
    miner.drops.clear()
    tasks = [task for oid in chunk.commits for task in miner.commit(pygit2.Oid(hex=oid))]
    template = load_template(chunk.template)
    table = parquet_rows.table([parquet_rows.row(task, 0, "", template, chunk.budget) for task in tasks])
    table = table.append_column(PART_SCHEMA.field("digest"), pa.array(map(digest, tasks), pa.binary(16)))
    table = table.append_column(PART_SCHEMA.field("signature"), pa.array(map(signature, tasks), pa.binary()))
    drops = json.dumps(miner.drops)
    with parquet_rows.whole(chunk.part, PART_SCHEMA.with_metadata({"drops": drops})) as out:
        out.write_table(table.replace_schema_metadata({"drops": drops}))
    return len(tasks)


@lru_cache(maxsize=1)
def _miner(path: str, about: Origin, rules: Rules) -> Miner:
    """The last one is kept: the next chunk is mostly of the same repository, and its caches are warm."""
    return Miner(open_repository(path), about, rules)


def _part_rows(part: Path) -> int:
    return parquet_rows.pq.read_metadata(part).num_rows


def parts_folder(out: Path) -> Path:
    """Where the parts of a mine lie until it is finished."""
    folder = out / ".parts"
    atomic_files.make_folder(folder)
    for left in folder.glob(".*.aside"):
        left.unlink()
    return folder


def date(text: str | None, option: str) -> datetime | None:
    """A day or a moment in ISO form, UTC unless it says otherwise. Raises UserError for anything else."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"{option}={text}: not a date; write it as 2024-01-31") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
