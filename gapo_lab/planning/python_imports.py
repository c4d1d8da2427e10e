"""What a Python file imports from its own folder, and where Python would find a module. Reads files; imports none."""

from __future__ import annotations

import ast
import importlib.machinery
import site
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from gapo_lab.errors import UserError
from gapo_lab.paths import PACKAGE


def parse(key: str, path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        said = error.msg if isinstance(error, SyntaxError) else error
        raise UserError(f"{f'{key}={path}' if key else path}{where}: is not Python: {said}") from error


def imports_of(key: str, path: Path) -> dict[str, Path]:
    """Return what a Python file that is read by its path imports from its own folder, by place in that folder."""
    for node in ast.walk(parse(key, path)):
        if isinstance(node, ast.ImportFrom) and node.level:
            said = f"from {'.' * node.level}{node.module or ''} import ..."
            raise UserError(
                f"{key}={path}, line {node.lineno}: `{said}`: verl reads this file by its path, where there is no "
                f"package. Write `from {node.module or 'MODULE'} import ...`"
            )
    return closure(key, path.parent, [path], {})


def closure(key: str, folder: Path, files: list[Path], out: dict[str, Path]) -> dict[str, Path]:
    """``out``, and what these files import from ``folder``, directly or through others."""
    waiting = list(files)
    while waiting:
        for name in _imported_names(key, waiting.pop()):
            for file in user_files(folder, name):
                place = file.relative_to(folder).as_posix()
                if place not in out:
                    out[place] = file
                    waiting.append(file)
    return out


def _imported_names(key: str, path: Path) -> Iterator[str]:
    """Yield the first parts of the names that a file imports; relative imports stay in its package, which comes
    whole."""
    for node in ast.walk(parse(key, path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).partition(".")[0]


def user_files(folder: Path, name: str) -> list[Path]:
    """Return the files of the module or package ``name`` in this folder; none where it is Python's own or ours."""
    if name in sys.stdlib_module_names or name == PACKAGE.name or _is_installed(folder):
        return []
    if (folder / f"{name}.py").is_file():
        files = [folder / f"{name}.py"]
    else:
        files = sorted((folder / name).rglob("*.py")) if (folder / name).is_dir() else []
    if files and is_installed_module(name):
        raise UserError(f"{files[0]}: an installed package is called {name}, too. Rename the file")
    return files


def import_folders() -> list[Path]:
    """Where a job imports a user's modules from: PYTHONPATH, editable installs and the working folder."""
    return [path for text in (*sys.path, "") if (path := Path(text or ".").absolute()).is_dir()]


@cache
def _installed_folders() -> tuple[Path, ...]:
    paths = {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")}
    return tuple(Path(path).resolve() for path in {*paths, *site.getsitepackages(), site.getusersitepackages()} if path)


def _is_installed(folder: Path) -> bool:
    return any(folder.resolve().is_relative_to(place) for place in _installed_folders())


@cache
def is_installed_module(name: str) -> bool:
    """Whether a package of this name is installed, which Python would take before or in place of the user's."""
    folders = [str(folder) for folder in _installed_folders() if folder.is_dir()]
    return importlib.machinery.PathFinder.find_spec(name, folders) is not None
