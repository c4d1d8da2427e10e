"""Ten thousand runs in one run root: `python -m bench ten_thousand`, `slow_disk`, `two_thousand`."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import first_version
from bench.measurement import Row
from gapo_lab.runs import file_signature
from gapo_lab.runs.status import RunStatus, State
from gapo_lab.utils.processes import Process

RUNS, KINDS = 10_000, 40
TAUS = ",".join(f"{n / 20:g}" for n in range(1, KINDS // 2 + 1))
CELLS = ("model=nano", "algo=gapo_grpo,gapo_dapo", f"tau={TAUS}", "seed=0")
SEED, KEY = 987_654_321, "rKEYKEYKEY"  # what stands in a spec's text for them


def status_of_ten_thousand() -> list[Row]:
    """Measure `python -m gapo_lab status` on 10,000 runs of 40 cells (four of five finished, the others failed after a
    few steps): processor seconds of the whole command, with the start of Python. The first call has no cache. The next
    two, for all runs and for one study, have one.

    The limits, 3 s and 1 s, are of a machine where 0.1.0's `status` of 1,000 runs took 0.95 s. Here they are as many
    times as long as that takes here.
    """
    pace = first_version.pace(first_version.STATUS)
    with tempfile.TemporaryDirectory() as root:
        _command(root, "status")  # of no run: it compiles the modules
        make_runs(Path(root), RUNS)
        time.sleep(file_signature.SETTLED_HERE + 1)  # what has just been written is not kept
        seconds = [_command(root, "status", *words) for words in ([], [], ["default"])]
    again = (f"status of {RUNS:,} runs, second call / 1 s x pace", "status of one study of them / 1 s x pace")
    names = (f"status of {RUNS:,} runs / 3 s x pace", *again)
    limits = (3.0 * pace, pace, pace)
    return [Row(name, one, limit, 1.0) for name, one, limit in zip(names, seconds, limits, strict=True)]


def status_on_a_slow_disk() -> list[Row]:
    """Measure the wall time of `status` of 1,000 runs if each call on their files takes 5 ms more: the first call,
    without a cache, and a second one. (bench/slow_disk.c, a library loaded before the C library, adds the 5 ms.)
    """
    with tempfile.TemporaryDirectory() as folder:
        root, library = Path(folder) / "runs", Path(folder) / "slow_disk.so"
        source = Path(__file__).with_name("slow_disk.c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        make_runs(root, 1000)
        time.sleep(file_signature.SETTLED_HERE + 1)
        slow = {"LD_PRELOAD": str(library), "SLOW_ROOT": str(root), "SLOW_MS": "5"}
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            _command(root, "status", **slow)
            seconds.append(time.perf_counter() - start)
    return [
        Row("status of 1,000 runs on a disk of 5 ms a call / 10 s", seconds[0], 10.0, 1.0),
        Row("status of 1,000 runs on a disk of 5 ms a call, second call / 10 s", seconds[1], 10.0, 1.0),
    ]


def watching_two_thousand() -> list[Row]:
    """Measure `watch` of 2,000 queued and running runs of which 40 do a step each second: its processor seconds during
    30 s, as a share of these 30 s.
    """
    import io

    from rich.console import Console

    from gapo_lab.launch import watch
    from gapo_lab.runs.folder import RunFolder

    class Over(Exception):
        pass

    with tempfile.TemporaryDirectory() as root:
        make_runs(Path(root), 2000)
        keys = sorted(path.name for path in Path(root).glob("[0-9a-f]*"))
        process = Process(os.getpid(), None, "another machine")
        for number, key in enumerate(keys):
            (Path(root) / key / "summary.json").unlink(missing_ok=True)
            state = State.RUNNING if number % 5 else State.QUEUED
            status = RunStatus(state, attempt=1, step=1, total_steps=40, process=process, started=time.time())
            (Path(root) / key / "status.json").write_text(json.dumps(status.to_json()), encoding="utf-8")
        time.sleep(file_signature.SETTLED_HERE + 1)
        others = 0.0
        began, end = [], time.perf_counter() + 30 + 5  # the first look, which reads all, is not counted

        def tick() -> bool:
            nonlocal others
            if not began and time.perf_counter() > end - 30:
                began.extend((time.process_time(), time.perf_counter()))
                others = 0.0
            start = time.process_time()
            for key in keys[:40]:
                RunFolder(Path(root) / key).report(step=2)
            others += time.process_time() - start
            if time.perf_counter() > end:
                raise Over
            return True

        with contextlib.suppress(Over):
            watch.follow(Path(root), keys, Console(file=io.StringIO()), tick)
        used, passed = time.process_time() - began[0] - others, time.perf_counter() - began[1]
    return [Row("watch of 2,000 active runs / the seconds it lasts", used, passed, 0.05)]


def cleaning_ten_thousand() -> list[Row]:
    """Measure `gc`, `cancel` of 2,000 queued runs and `retry` of 2,000 failed runs, among 10,000 runs: processor
    seconds of the whole command, against 10 s. `retry` is measured until it has handed the runs over.
    """
    with tempfile.TemporaryDirectory() as root:
        make_runs(Path(root), RUNS)
        gc = _command(root, "gc")
        failed = [path for path in sorted(Path(root).glob("[0-9a-f]*")) if not (path / "summary.json").exists()]
        code = (
            "import io, sys; from pathlib import Path; from rich.console import Console\n"
            "from gapo_lab.cli.runs import main; from gapo_lab.launch import executor\n"
            "def stop(wanted, **words):\n"
            "    executor.hand_over(Path(sys.argv[1]), wanted.runs, Console(file=io.StringIO()))\n"
            "executor.carry_out = stop\n"
            "sys.exit(main(['--root', sys.argv[1], 'retry', 'default']))\n"
        )
        again = _child([sys.executable, "-c", code, root])
        for path in failed:
            status = RunStatus(State.QUEUED, submission="gapo-0", submitted=time.time())
            (path / "status.json").write_text(json.dumps(status.to_json()), encoding="utf-8")
        cancelled = _command(root, "cancel", "all")
    return [
        Row(f"gc of {RUNS:,} runs / 10 s", gc, 10.0, 1.0),
        Row(f"cancel of 2,000 of {RUNS:,} runs / 10 s", cancelled, 10.0, 1.0),
        Row(f"retry of 2,000 of {RUNS:,} runs / 10 s", again, 10.0, 1.0),
    ]


def _command(root: Path | str, *words: str, **environment: str) -> float:
    """Processor seconds of a command of `python -m gapo_lab`."""
    return _child([sys.executable, "-m", "gapo_lab", "--root", str(root), *words], **environment)


def _child(words: list[str], **environment: str) -> float:
    """Processor seconds of a command, with those of its own children; its modules are compiled, as they are from a
    user's second command on."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | environment
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[1:4])} ended with {done.returncode}: {done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def make_runs(root: Path, number: int) -> None:
    """Write so many run folders: one of each kind by the platform itself, the others as its copies with specs of their
    own."""
    from gapo_lab.config.sweep_grid import make_grid
    from gapo_lab.launch import executor
    from gapo_lab.runs import spec_file

    cells = make_grid(CELLS).cells()
    assert len(cells) == KINDS
    here = (f"run_root={root}", "check_disk=false")
    words = [(*cell[:-1], f"seed={seed}", *here) for seed in range(-(-number // KINDS)) for cell in cells]
    planned = [run.valid_spec for run in executor.plan_of(words).runs]
    specs = [spec.as_dict() for spec in planned[:KINDS]]
    kinds = [_kind(root / f"kind{finished}", specs[0], finished) for finished in (False, True)]
    texts = []
    for spec in specs:  # YAML is slow to write: the seed and the key are put into its text
        given = [f"seed={SEED}" if word.startswith("seed=") else word for word in spec["overrides"]]
        spec_file.write(root / "text", {**spec, "seed": SEED, "key": KEY, "overrides": given})
        texts.append((root / "text").read_text(encoding="utf-8"))
    (root / "text").unlink()
    for count in range(number):
        key = planned[count].key
        files = kinds[count % 5 > 0]
        for folder in {(root / key / name).parent for name in files}:
            folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (root / key / name).write_bytes(content)
        quoted = f"'{key}'" if key.isdigit() else key
        text = texts[count % KINDS].replace(str(SEED), str(count // KINDS)).replace(KEY, quoted)
        (root / key / "spec.yaml").write_text(text, encoding="utf-8")


def _kind(root: Path, spec: dict, finished: bool) -> dict[Path, bytes]:
    """Return the files of a run of one kind, by their place in its folder; the folder itself is removed."""
    import shutil

    from gapo_lab.runs.folder import RunFolder

    folder = RunFolder.open(root, "key", spec)
    attempt = folder.start_attempt()
    if finished:
        folder.write_summary({"best/id/em": 0.5, "best/ood/em": 0.4, "final/step": 40.0, "wall_seconds": 9.0})
    else:
        for step in range(3):
            attempt.append_metrics(step, {f"metric/{number}": 0.5 for number in range(99)} | {"val/id/em": 0.5})
        folder.write_status(state="failed", message="out of memory")
    files = {path.relative_to(folder.path): path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    shutil.rmtree(root)
    return files
