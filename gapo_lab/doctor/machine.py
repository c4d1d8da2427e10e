"""The GPUs, the compiler and the scratch folder of the machine that this runs on."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gapo_lab.doctor.finding import Finding, note, ok, wrong
from gapo_lab.doctor.python_process import python_error
from gapo_lab.utils import machine
from gapo_lab.utils.scratch import LONGEST_PLACE, place
from gapo_lab.utils.setup_command import setup_command
from gapo_lab.utils.text import several

# Whether torch can use a GPU, and how long that may take on a slow disk.
USE_CUDA, CUDA_SECONDS = "import torch; torch.zeros(1, device='cuda').item()", 300
# A card that is sold with 80 GB shows a little less.
NEARLY = 0.97


@dataclass(frozen=True)
class Gpu:
    """One GPU: what its maker calls it, and its memory in GiB."""

    name: str
    gib: float


# Pure


def parse_gpus(lines: Sequence[str]) -> list[Gpu]:
    """Return the GPUs of nvidia-smi's lines, `NVIDIA H100 80GB HBM3, 81559 MiB, 550.54.15`."""
    found = (re.match(r"(.+?), (\d+) MiB", line) for line in lines)
    return [Gpu(match[1], int(match[2]) / 1024) for match in found if match]


def check_gpus(found: Sequence[Gpu], count: int, gib: float | None, in_job: bool = False) -> Finding:
    """Compare GPUs with what a run needs.

    count: that a run needs on a node. gib: that the configuration reckons with; None where it does not say. in_job:
    whether this is a job that has asked for them.
    """
    if len(found) < count:
        there = several(len(found), "GPU") if found else "no GPU"
        here = "Run it on a cluster (cluster=NAME), or set model.gpus and the keys that follow from it"
        asked = "The job asked for it: take a partition with GPUs (cluster.partition) or another cluster.gpu_option"
        return wrong("GPUs", f"{there} here, and a run needs {count}", asked if in_job else here)
    least = min(found, key=lambda one: one.gib)
    has = f"{len(found)} x {least.name}, {least.gib:.0f} GiB"
    if gib is not None and least.gib < NEARLY * gib:
        return wrong("GPUs", f"{has}; the plan reckons with {gib:g}", f"Set cluster.gpu_memory={int(least.gib)}")
    return ok("GPUs", has)


def check_unused_gpus(found: Sequence[Gpu]) -> Finding:
    """Of runs that need none: what is there is said, but not tried."""
    if not found:
        return ok("GPUs", "none here, and these runs need none")
    has = f"{len(found)} x {found[0].name}, {found[0].gib:.0f} GiB"
    remedy = "To check them, give the overrides of a run on GPUs: doctor model=MODEL ..."
    return note("GPUs", f"{has}; these runs use none, so nothing of them was checked", remedy)


def check_cuda(error: str | None, driver: str) -> Finding:
    """error: what torch said when it was told to use a GPU; None where it could. driver: its version."""
    if error is None:
        return ok("CUDA", f"torch computes on the GPU, driver {driver}")
    return wrong(
        "CUDA",
        f"torch cannot use the GPU, driver {driver}: {error}",
        f"torch 2.11 of `{setup_command(gpu=True)}` is for CUDA 13: driver 580 or later. With an older driver install "
        "torch and vLLM for CUDA 12",
    )


def check_compiler(compiler: str | None, header: Path) -> Finding:
    """Triton and torch's compiler build small C programs against Python.h when a run starts."""
    missing = [*([] if compiler else ["gcc"]), *([] if header.is_file() else [f"Python.h ({header})"])]
    if missing:
        return wrong(
            "compiler",
            f"{' and '.join(missing)} not found; vLLM and torch compile kernels with it",
            "Load them for the job (cluster.setup=[module load gcc]), install python3-dev, or take a Python with its "
            "headers (uv's, conda's)",
        )
    return ok("compiler", f"{compiler}, {header}")


def check_scratch(folder: str, error: str | None) -> Finding:
    """folder: where sockets and the Ray token of a run go. error: why nothing can be written there."""
    remedy = "Set GAPO_LAB_TMP to a short folder on a disk of the node"
    if error is not None:
        return wrong("scratch", f"{folder}: {error}", remedy)
    if len(folder) > LONGEST_PLACE:
        return wrong("scratch", f"{folder}: too long for the sockets below it", remedy)
    return ok("scratch", folder)


# What is looked at


def look(needs_gpu: bool, count: int, gib: float | None, in_job: bool = False) -> Iterator[Finding]:
    """Yield the findings about the machine where runs happen. in_job: whether it was asked of a cluster."""
    if needs_gpu:
        lines = machine.gpus()
        yield check_gpus(parse_gpus(lines), count, gib, in_job)
        if lines:
            yield check_cuda(python_error(USE_CUDA, CUDA_SECONDS), lines[0].rpartition(", ")[2])
        compiler = os.environ.get("CC") or next(filter(None, map(shutil.which, ("gcc", "cc", "clang"))), None)
        yield check_compiler(compiler, Path(sysconfig.get_paths()["include"]) / "Python.h")
    elif not in_job:
        yield check_unused_gpus(parse_gpus(machine.gpus()))
    folder = place()
    yield check_scratch(folder, write_error(Path(folder)))


def write_error(folder: Path) -> str | None:
    """Write a file into a folder, lock it and remove it: why that cannot be done, None where it can."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(b"ok")
            file.flush()
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.strerror or type(error).__name__
    return None
