"""Ten thousand runs in one run root: `python -m bench --only ten_thousand`."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from pathlib import Path

from bench.launch import GRID
from bench.measurement import Row

RUNS, KINDS = 10_000, 40
SEED, KEY = 987_654_321, "rKEYKEYKEY"  # what stands in a spec's text for them


def status_of_ten_thousand() -> list[Row]:
    """`python -m gapo_lab status` on 10,000 runs of 40 cells (four of five finished, the others failed after a few
    steps), processor seconds against 3.
    """
    from gapo_lab.cli.runs import main

    with tempfile.TemporaryDirectory() as root:
        make_runs(Path(root), RUNS)
        start = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            main(["--root", root, "status"])
        seconds = time.process_time() - start
    return [Row(f"status of {RUNS:,} runs / 3 s", seconds, 3.0, 1.0)]


def make_runs(root: Path, number: int) -> None:
    """Write so many run folders: one of each kind by the platform itself, the others as its copies with specs of their
    own."""
    from gapo_lab.config.sweep_grid import make_grid
    from gapo_lab.launch import executor
    from gapo_lab.runs import spec_file

    cells = make_grid(GRID).cells()
    specs = [run.valid_spec.as_dict() for run in executor.plan_of(cells[:: len(cells) // KINDS][:KINDS]).runs]
    kinds = [_kind(root / f"kind{finished}", specs[0], finished) for finished in (False, True)]
    texts = []
    for spec in specs:  # YAML is slow to write: the seed and the key are put into its text
        spec_file.write(root / "text", {**spec, "seed": SEED, "key": KEY})
        texts.append((root / "text").read_text(encoding="utf-8"))
    (root / "text").unlink()
    for count in range(number):
        key = f"r{count:09x}"
        files = kinds[count % 5 > 0]
        for folder in {(root / key / name).parent for name in files}:
            folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (root / key / name).write_bytes(content)
        text = texts[count % KINDS].replace(str(SEED), str(count // KINDS)).replace(KEY, key)
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
