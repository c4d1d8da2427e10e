"""Mining a history of 5,000 commits; 50,000 tasks described and validated. "Theirs" is what was aimed at, or git."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.measurement import Row

COMMITS, FILES, LINES, TASKS = 5000, 40, 400, 50_000
A_TASK, A_LOOK, MEMORY = 1 / 400, 5.0, 500.0  # seconds a task on one core, seconds, MB
SUFFIXES = ("go", "py", "java", "cpp", "kt", "ts", "js", "c", "rs", "lua")


def mining() -> list[Row]:
    """Measure all of `gapo_lab.data mine` (the search for secrets, prompts, near-duplicates, leaks, the files) on one
    core: processor seconds per task, against 1/400 s and against `git log -p` of the same history; peak memory.

    The history has ten languages and files of 400 lines. A commit changes one to three of them in one to four places.
    """
    with tempfile.TemporaryDirectory() as folder:
        repo = _history(Path(folder) / "repo")
        script = (
            "import resource\nfrom pathlib import Path\nfrom bench.measurement import peak_memory\n"
            "from gapo_lab.data.mining import dataset\n"
            f"about = dataset.make([{str(repo)!r}], Path({folder!r}) / 'out', dataset.Options(), workers=1)\n"
            "used = resource.getrusage(resource.RUSAGE_SELF)\n"
            "print(about['repositories'][0]['tasks'], used.ru_utime + used.ru_stime, peak_memory())"
        )
        said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        tasks, seconds, megabytes = map(float, said.split())
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        log = ["git", "-C", str(repo), "log", "-p", "--first-parent", "--no-ext-diff", "--no-textconv"]
        subprocess.run(log, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    git_log = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [
        Row(f"mining a task, {COMMITS:,} commits, one core / 1/400 s", seconds / tasks, A_TASK, 1.0),
        Row("mining / git log -p", seconds, git_log),
        Row("mining, peak memory / 500 MB", megabytes, MEMORY, 1.0, "MB"),
    ]


def describing_and_validating() -> list[Row]:
    """Measure the wall time of `gapo_lab.data describe` and `validate` for 50,000 mined tasks, against 5 s."""
    import pyarrow as pa

    from gapo_lab.data import length_table, validate
    from gapo_lab.data.mining import dataset
    from gapo_lab.data.tasks import parquet_rows

    with tempfile.TemporaryDirectory() as folder:
        repo = _history(Path(folder) / "repo", commits=400)
        dataset.make([repo], Path(folder) / "out", dataset.Options(), workers=1)
        some = parquet_rows.pq.read_table(Path(folder) / "out/train.parquet")
        many = Path(folder) / "many.parquet"
        with parquet_rows.whole(many) as out:
            for start in range(0, TASKS, len(some)):
                table = some.slice(0, TASKS - start)
                about = table["extra_info"].combine_chunks()
                fields = {field.name: about.field(field.name) for field in about.type}
                fields["id"] = pa.array([f"{start + row}" for row in range(len(table))])
                about = pa.StructArray.from_arrays(list(fields.values()), fields=list(about.type))
                out.write_table(
                    table.set_column(
                        table.schema.get_field_index("extra_info"), parquet_rows.SCHEMA.field("extra_info"), about
                    )
                )
        described = _seconds(lambda: length_table.table(many))
        validated = _seconds(lambda: validate.validate([many]))
    return [
        Row(f"describe {TASKS:,} tasks / 5 s", described, A_LOOK, 1.0),
        Row(f"validate {TASKS:,} tasks / 5 s", validated, A_LOOK, 1.0),
    ]


def _seconds(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _history(folder: Path, commits: int = COMMITS) -> Path:
    """Return a repository written by one `git fast-import`, packed."""
    pick = random.Random(0)
    files = {f"src/{n}/file{n}.{SUFFIXES[n % 10]}": [_line(pick) for _ in range(LINES)] for n in range(FILES)}
    subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)
    feed = subprocess.Popen(["git", "-C", str(folder), "fast-import", "--quiet"], stdin=subprocess.PIPE)
    assert feed.stdin
    for number in range(commits):
        changed = pick.sample(list(files), pick.choice([1, 1, 2, 3])) if number else list(files)
        clock = 1_600_000_000 + 3600 * number
        head = f"commit refs/heads/main\ncommitter A <a@example.invalid> {clock} +0000\ndata 11\nChange this\n"
        parts = [head]
        for name in changed:
            for at in pick.sample(range(0, LINES - 8, 20), pick.choice([1, 1, 2, 3, 4])) if number else ():
                files[name][at : at + 3] = [_line(pick) for _ in range(3)]
            text = "".join(files[name])
            parts.append(f"M 100644 inline {name}\ndata {len(text)}\n{text}\n")
        feed.stdin.write("".join(parts).encode())
    feed.stdin.close()
    if feed.wait():
        raise RuntimeError("git fast-import failed")
    subprocess.run(["git", "-C", str(folder), "gc", "--quiet"], check=True)
    return folder


def _line(pick: random.Random) -> str:
    words = ("value", "count", "index", "name", "result", "items", "total", "first", "next", "key")
    name = f"{pick.choice(words)}_{pick.randrange(100)}"
    return f"    {name} = {pick.choice(words)}({pick.choice(words)}, {pick.randrange(1000)})\n"
