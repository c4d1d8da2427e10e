"""Planning and looking at many runs, against Hydra's way of going through a grid and against the clock."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import time
from pathlib import Path

from bench import first_version
from bench.measurement import Row

MODELS = (
    "mistral_7b,qwen2_5_3b,qwen2_5_7b,qwen3_4b,qwen3_8b,qwen_coder_3b,qwen_coder_7b,qwen_coder_14b,deepseek_coder_6_7b"
)
# 9 models x 2 methods x 12 taus x 5 seeds: 1,080 cells, all of them different runs
GRID = (
    f"model={MODELS}",
    "algo=gapo_grpo,gapo_dapo",
    "cluster=slurm",
    "seed=range(5)",
    "tau=" + ",".join(f"{n / 20:g}" for n in range(1, 13)),
)
TEN_THOUSAND = (*GRID[:3], "seed=range(47)", GRID[4])
SAMPLE = 12  # cells that Hydra composes; it takes as long for each


def plan_against_hydra() -> list[Row]:
    """Measure a plan of 1,080 and of 10,152 cells: composing, checking, computing run keys, comparing with run folders.

    Against Hydra: its BasicSweeper composes every cell to validate it, and its launchers compose it again with
    `load_sweep_config`. That is timed on 12 cells and extrapolated. All times are processor seconds. The limit of the
    larger plan, with the printing of its table, is 6 s where 0.1.0's took 13.5 s; here it is as many times as long as
    that takes here.
    """
    from rich.console import Console

    from gapo_lab.config.sweep_grid import make_grid
    from gapo_lab.launch import executor
    from gapo_lab.planning.plan_table import show_plan

    cells, many = make_grid(GRID).cells(), make_grid(TEN_THOUSAND).cells()
    ours = _seconds(lambda: executor.plan_of(cells))
    large = _seconds(lambda: show_plan(executor.plan_of(many), Console(file=io.StringIO(), width=120)))
    theirs = 2 * len(cells) * _hydra_seconds(cells[:: len(cells) // SAMPLE][:SAMPLE])
    return [
        Row(f"plan of {len(cells):,} cells / Hydra composing them twice", ours, theirs, 1 / 20),
        Row(f"plan of {len(many):,} cells / 6 s x pace", large, 6.0 * first_version.pace(first_version.PLANNING), 1.0),
    ]


def status_of_a_thousand() -> list[Row]:
    """`python -m gapo_lab status` on 1,000 runs (800 finished, 200 failed with a few steps), against 2 s."""
    from gapo_lab.cli.runs import main
    from gapo_lab.config.sweep_grid import make_grid
    from gapo_lab.launch import executor
    from gapo_lab.runs.folder import RunFolder

    planned = executor.plan_of(make_grid(GRID).cells()[:1000])
    with tempfile.TemporaryDirectory() as root:
        for number, run in enumerate(planned.runs):
            folder = RunFolder.open(Path(root), run.key, run.valid_spec.as_dict())
            attempt = folder.start_attempt()
            if number % 5:
                folder.write_summary({"best/id/em": 0.5, "best/ood/em": 0.4, "final/step": 40.0, "wall_seconds": 9.0})
            else:
                for step in range(3):
                    attempt.append_metrics(step, {f"metric/{n}": 0.5 for n in range(99)} | {"val/id/em": 0.5})
                folder.write_status(state="failed", message="out of memory")
        with contextlib.redirect_stdout(io.StringIO()):
            ours = _seconds(lambda: main(["--root", root, "status"]))
    return [Row("status of 1,000 runs / 2 s x pace", ours, 2.0 * first_version.pace(first_version.STATUS), 1.0)]


def _seconds(call) -> float:
    """Seconds of one call; of processor time, so that a busy machine measures the same."""
    start = time.process_time()
    call()
    return time.process_time() - start


def _hydra_seconds(cells) -> float:
    """Seconds that Hydra takes to compose one of these cells, as its sweeper does."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    from gapo_lab.paths import CONF

    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        os.environ.setdefault("HYDRA_FULL_ERROR", "1")
        master = loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN)
        return _seconds(lambda: [loader.load_sweep_config(master, list(cell)) for cell in cells]) / len(cells)
