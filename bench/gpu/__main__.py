"""`python -m bench.gpu [--cpu]`: check the GPU path in a few minutes; docs/bench.md says how, and on what."""

from __future__ import annotations

import argparse
import importlib.util
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.gpu.conductor import PATIENCE_SECONDS, Stage, conduct, stage
from bench.gpu.findings import DONE, Ending, Notebook, conclusion, is_well, table
from bench.gpu.form import BACKENDS, Form
from gapo_lab.utils.machine import gpus, has_gpu
from gapo_lab.utils.stop_signals import raise_on_signals

# By name: seconds on a GPU and on a CPU. Those of one group run side by side on a GPU: both mostly start up.
LIMITS = {"environment": (30, 60), "estimators": (75, 300), "training": (300, 1200), "large": (300, 600)}
GROUPS = (("environment",), ("estimators",), ("training", "large"))
MINUTES = {True: 6.0, False: 30.0}


def main(words: Sequence[str] | None = None) -> int:
    """Exit code 0: all stages done and all that was wanted found; 1: not so; 2: it cannot be run here."""
    asked = _parse(words)
    backend = asked.backend or ("cpu" if asked.cpu else "vllm")
    if backend == "vllm" and not has_gpu():
        return _refuse("No GPU is here. Run the same stages in their small form: `python -m bench.gpu --cpu`.")
    if backend == "vllm_cpu" and not importlib.util.find_spec("vllm"):
        return _refuse("--backend vllm_cpu: vLLM is not installed. Run `make setup VLLM_CPU=1`, or take --backend cpu.")
    if unknown := [name for name in asked.stages if name not in LIMITS]:
        return _refuse(f"--stages {unknown[0]}: there is no such stage. Choose among {', '.join(LIMITS)}.")
    out = (asked.out or Path("gpu-check") / time.strftime("%Y%m%d-%H%M%S")).absolute()
    if (out / "results.jsonl").exists():
        return _refuse(f"--out {out}: a check has been written there. Name another folder.")
    out.mkdir(parents=True, exist_ok=True)
    work = (asked.work or Path(tempfile.mkdtemp(prefix="gpu-check-"))).absolute()
    form = Form(out=out, work=work, backend=backend, beside=asked.beside, gpu_gib=_gpu_gib())
    form.write()
    raise_on_signals()
    minutes = asked.minutes or MINUTES[form.on_gpu]
    well = False
    try:
        _carry_out(form, asked.stages, minutes)
        well = is_well(Notebook(out).read(), asked.stages)
    finally:
        _tidy(work, keep=asked.work is not None or not well)
    print(conclusion(Notebook(out).read(), asked.stages), flush=True)
    return 0 if well else 1


def _gpu_gib() -> float:
    """Return the memory of the first GPU as nvidia-smi says it (`name, 81559 MiB, driver`); an H100's where it does
    not."""
    found = re.search(r"(\d+) MiB", next(iter(gpus()), ""))
    return int(found[1]) / 1024 if found else Form.gpu_gib


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--cpu", action="store_true", help="without a GPU: the same stages in a small form")
    parser.add_argument("--backend", choices=BACKENDS, help="of the runs (default: vllm; with --cpu: cpu)")
    parser.add_argument("--beside", default="grpo", metavar="ALGO", help="the method beside gapo_grpo; '' for none")
    stages = parser.add_argument("--stages", metavar="A,B", help=f"only these (default: {','.join(LIMITS)})")
    stages.type, stages.default = (lambda text: text.split(",")), list(LIMITS)
    parser.add_argument("--minutes", type=float, help="for all stages (default: 6; without a GPU 30)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="results, table and logs (default: gpu-check/TIME)")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="the runs' folders (default: a temporary one)")
    return parser.parse_args(words)


def groups_of(form: Form, wanted: Sequence[str]) -> list[list[Stage]]:
    """Return the stages that are wanted; on a CPU one after the other."""
    groups = [[name for name in group if name in wanted] for group in GROUPS]
    if not form.on_gpu:
        groups = [[name] for group in groups for name in group]
    return [[stage(name, LIMITS[name][not form.on_gpu], form.out) for name in group] for group in groups if group]


def _carry_out(form: Form, wanted: Sequence[str], minutes: float) -> None:
    notebook, began = Notebook(form.out), time.monotonic()

    def after_each(ending: Ending) -> None:
        (form.out / "table.md").write_text(table(notebook.read(), wanted), encoding="utf-8")
        if ending.ended != DONE:
            print(f"{ending.stage}: {ending.ended} ({ending.why}); log: {form.out / ending.stage}.log", flush=True)
        else:
            print(f"{ending.stage}: done after {ending.seconds:.0f} s", flush=True)

    # ending what is late takes time, too
    conduct(groups_of(form, wanted), form.out, max(1.0, minutes * 60 - PATIENCE_SECONDS), after_each)
    print(f"\n{table(notebook.read(), wanted)}", flush=True)
    print(f"{time.monotonic() - began:.0f} s in all; the table: {form.out / 'table.md'}", flush=True)


def _tidy(work: Path, keep: bool) -> None:
    if keep:
        print(f"the runs' folders: {work}", flush=True)
    else:
        shutil.rmtree(work, ignore_errors=True)


def _refuse(why: str) -> int:
    print(why, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
