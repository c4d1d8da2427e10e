"""Where the text of a Python module lies, without importing it."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from typing import Any

PACKAGE_ADDRESS = "pkg://"


def source(address: str) -> Path | None:
    """Return the file of `FILE.py`, `file://FILE.py` or `pkg://PACKAGE.MODULE`; None where there is none.

    A module is looked for where Python does, then in the working folder.
    """
    if not address.startswith(PACKAGE_ADDRESS):
        path = Path(address.removeprefix("file://")).expanduser()
        return path if path.is_file() else None
    top, *parts = address.removeprefix(PACKAGE_ADDRESS).replace("/", ".").split(".")
    try:
        spec = importlib.util.find_spec(top) or _in([str(Path.cwd())], top)
    except (ImportError, ValueError):
        return None
    name = top
    for part in parts:
        name = f"{name}.{part}"
        spec = _in(list(spec.submodule_search_locations or ()), name) if spec else None
    found = Path(spec.origin) if spec and spec.origin else None
    return found if found and found.suffix == ".py" and found.is_file() else None


def _in(folders: list[str], name: str) -> importlib.machinery.ModuleSpec | None:
    return importlib.machinery.PathFinder.find_spec(name, folders)


def load(address: str, name: str) -> Any:
    """Return the object ``name`` of the module at such an address. ImportError where there is none."""
    if address.startswith(PACKAGE_ADDRESS):
        module = importlib.import_module(address.removeprefix(PACKAGE_ADDRESS).replace("/", "."))
    else:
        path = address.removeprefix("file://")
        folder = str(Path(path).expanduser().parent.absolute())
        spec = importlib.util.spec_from_file_location(f"gapo_lab_method_{Path(path).stem}", Path(path).expanduser())
        if spec is None or spec.loader is None:
            raise ImportError(f"{address}: is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses and pickle look it up
        if folder not in sys.path:
            sys.path.append(folder)  # what it imports from its own folder; a job has copies, which come first
        spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise ImportError(f"{address}: has no {name}")
    return getattr(module, name)
