"""The process of one stage: `python -m bench.gpu.stage_process NAME FOLDER`."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from bench.gpu.findings import Notebook
from bench.gpu.form import Form
from gapo_lab.utils.processes import adopt_orphans
from gapo_lab.utils.stop_signals import raise_on_signals

# What the stage and its runs start with, unless it is set. flashinfer compiles its sampler at its first use: that takes
# minutes, and a CUDA compiler, which not every machine has. (vLLM 0.24 does not take that sampler where verl asks for
# log-probs, as a run does; this makes sure of it.)
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_USE_FLASHINFER_SAMPLER": "0",
    "PYTHONUNBUFFERED": "1",
}


def main(name: str, folder: str) -> int:
    """Carry out the stage; 1, and its error in one line at the end of the log, where it fails."""
    form = Form.read(Path(folder))
    # without a GPU: as the processes of a run
    threads = {} if form.on_gpu else {"OMP_NUM_THREADS": "1"}
    for variable, value in (ENVIRONMENT | threads).items():
        os.environ.setdefault(variable, value)
    adopt_orphans()
    raise_on_signals()
    try:
        importlib.import_module(f"bench.gpu.{name}").run(form, Notebook(form.out, name))
    except Exception as error:  # noqa: BLE001 - the other stages go on
        import traceback

        traceback.print_exc()
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
