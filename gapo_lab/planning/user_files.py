"""A user's own small files in a run: found, named by their content in the run key, and copied into the run folder.

`reward.custom_reward_function.path=reward.py` names a file that may be edited while a run waits. Its key holds a digest
of the text, and of what it imports from its own folder; the job runs a copy. What ships with GAPO Lab or is installed
(verl) is the environment, and not copied.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gapo_lab.config.known_keys import verl_defaults
from gapo_lab.errors import UserError
from gapo_lab.paths import PACKAGE
from gapo_lab.planning import python_imports
from gapo_lab.utils import atomic_files
from gapo_lab.utils.python_source import source
from gapo_lab.utils.text import first_line

# Keys that name a Python file by its path, or a module as pkg://MODULE.
PYTHON_FILES = (
    *("reward.custom_reward_function.path", "reward.reward_manager.module.path"),
    *("trainer.v1.sampler.custom_sampler.path", "data.custom_cls.path", "data.sampler.class_path", "data.datagen.path"),
    *("actor_rollout_ref.rollout.agent.custom_async_server.path", "data.function_tool_path"),
    *("actor_rollout_ref.rollout.multi_turn.function_tool_path", "algo.path"),
)
# The file of a method of the user's.
METHOD = "algo.path"
# Keys that name modules, or a class in one: `my_package.loops.MyManager`.
MODULES = (
    *("actor_rollout_ref.model.external_lib", "actor_rollout_ref.rollout.checkpoint_engine.custom_backend_module"),
    *("actor_rollout_ref.rollout.agent.agent_loop_manager_class", "trainer.checkpoint_callback_class"),
    "actor_rollout_ref.actor.optim.optimizer_impl",
)
# What verl's engines read of quantization.
QAT_ENGINES = ("actor.fsdp_config.", "ref.fsdp_config.")
# Keys that name another small file. A YAML file may name classes; they come along.
OTHER_FILES = (
    *("actor_rollout_ref.rollout.agent.agent_loop_config_path", "data.tool_config_path", "data.template"),
    *("actor_rollout_ref.rollout.multi_turn.tool_config_path", "actor_rollout_ref.rollout.router_config_path"),
    "actor_rollout_ref.rollout.multi_turn.interaction_config_path",
    "actor_rollout_ref.rollout.quantization_config_file",
    *(f"actor_rollout_ref.{node}qat.quantization_config_path" for node in ("actor.", *QAT_ENGINES)),
)
KEYS = (*PYTHON_FILES, *MODULES, *OTHER_FILES)
# The folder of a run that holds the copies, and the one in it that Python imports from.
FOLDER, IMPORTED = "files", "imported"
# What has a name of its own in a Python file.
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# In a YAML file: keys whose value is a class.
CLASSES = ("_target_", "class_name")


@dataclass(frozen=True)
class UserFile:
    """One file of the user's. ``path`` is None for a module, which only brings what it imports.

    ``imported``: what is imported from the same folder, by its place below that folder. ``installed``: the files of
    an installed package that a method is from; they are read, and not copied.
    """

    path: Path | None
    imported: Mapping[str, Path] = field(default_factory=dict)
    installed: Mapping[str, Path] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Twelve hex digits over the text of the file and of what it imports; its name and place are not in it."""
        sha = hashlib.sha256(self.path.read_bytes() if self.path else b"")
        for place, path in sorted({**self.imported, **self.installed}.items()):
            sha.update(b"\0" + place.encode() + b"\0" + path.read_bytes())
        return sha.hexdigest()[:12]


def find(key: str, value: Any) -> UserFile | None:
    """Return the user's file that the setting ``key=value`` names; None where it names none.

    Raises UserError for a file that is not there or cannot be read as what it should be.
    """
    if not value or key not in KEYS or value == verl_defaults().get(key):
        return None
    if key in MODULES:
        names = [str(one) for one in (value if isinstance(value, list) else [value])]
        found = [_module(key, name) for name in names]
        imported = _together(key, [one for one in found if one])
        return UserFile(None, imported) if imported else None
    address = str(value)
    if address.startswith("pkg://"):
        name = address.removeprefix("pkg://").replace("/", ".")
        return _module(key, name) or (_installed_method(address) if key == METHOD and not is_ours(name) else None)
    path = Path(address.removeprefix("file://")).expanduser()
    if is_ours(str(path)):
        return None
    if not path.is_file():
        raise UserError(f"{key}={value}: no such file")
    if key in PYTHON_FILES:
        return UserFile(path, python_imports.imports_of(key, path))
    return UserFile(path, _classes(key, path) if path.suffix in (".yaml", ".yml") else {})


def is_ours(value: Any) -> bool:
    """Whether a setting names a file or a module that ships with GAPO Lab."""
    if not isinstance(value, str):
        return False
    path = Path(value)
    return value.startswith(f"{PACKAGE.name}.") or path.absolute().is_relative_to(PACKAGE) or _is_copy_of_ours(path)


def digests(settings: Mapping[str, Any]) -> dict[str, str]:
    """`{key: digest}` of the user's files that a configuration (by dotted key) names; {} for most runs."""
    found = {key: find(key, settings.get(key)) for key in KEYS}
    return {key: file.digest for key, file in found.items() if file}


def copy(settings: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Copy the user's files into the run folder ``folder``; the settings that name the copies in place of the files."""
    found = {key: file for key in KEYS if (file := find(key, settings.get(key)))}
    changed = {}
    for key, file in found.items():
        if file.path:
            place = folder / FOLDER / key.removesuffix("path").rstrip("._") / file.path.name
            _write(file.path, place)
            changed[key] = str(place.absolute())
    for name, path in _together("", list(found.values())).items():
        _write(path, imported(folder) / name)
    return changed


def imported(folder: Path) -> Path:
    """Return the folder in the run folder ``folder`` that the job imports the user's modules from; it need not be
    there."""
    return folder / FOLDER / IMPORTED


def defined(path: Path) -> set[str]:
    """Return the names that a Python file defines or imports at its top. UserError where it is no Python."""
    tree = python_imports.parse("", path)
    return {node.name for node in tree.body if isinstance(node, DEFINITIONS)} | assigned(tree)


def assigned(tree: ast.Module) -> set[str]:
    """Return the names that a module imports or assigns at its top; `*` where it imports all of another."""
    names: set[str] = set()
    # also what stands below an `if` or a `try`
    for node in (one for top in tree.body if not isinstance(top, DEFINITIONS) for one in ast.walk(top)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, DEFINITIONS):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def _write(path: Path, place: Path) -> None:
    atomic_files.make_folder(place.parent)
    atomic_files.write_bytes(place, path.read_bytes())


def _together(key: str, files: list[UserFile]) -> dict[str, Path]:
    """Return what several files import. UserError where two folders have different modules of one name."""
    out: dict[str, Path] = {}
    for file in files:
        for place, path in file.imported.items():
            if out.setdefault(place, path).read_bytes() != path.read_bytes():
                raise UserError(f"{key or 'this run'}: {out[place]} and {path} are one name to Python. Rename one")
    return out


# Modules by name


def _module(key: str, name: str) -> UserFile | None:
    """Return the module that is imported as ``name`` (or whose class that is), where it is the user's own."""
    top = name.partition(".")[0]
    if top == PACKAGE.name or top in sys.stdlib_module_names or python_imports.is_installed_module(top):
        return None
    for folder in python_imports.import_folders():
        if files := python_imports.user_files(folder, top):
            places = {file.relative_to(folder).as_posix(): file for file in files}
            return UserFile(None, python_imports.closure(key, folder, files, places))
    raise UserError(f"{key}={name}: no module {top} in this folder, in PYTHONPATH or among the installed packages")


def _installed_method(address: str) -> UserFile | None:
    """Return the Python files of the installed package that a method is from: another release of it is another run."""
    if (path := source(address)) is None:
        raise UserError(f"{METHOD}={address}: the package that is installed has no such module")
    depth = address.count(".") + (path.name == "__init__.py")
    top = path.parents[depth - 1] if depth else path
    files = sorted(top.rglob("*.py")) if top.is_dir() else [top]
    return UserFile(None, installed={file.relative_to(top.parent).as_posix(): file for file in files})


def _classes(key: str, path: Path) -> dict[str, Path]:
    """Return the user's modules whose classes a YAML file names."""
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{key}={path}: is not YAML: {first_line(error)}") from error
    found = [_module(key, name) for name in _named_classes(tree)]
    return _together(key, [one for one in found if one])


def _named_classes(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name in CLASSES and isinstance(value, str):
                yield value
            else:
                yield from _named_classes(value)
    elif isinstance(tree, list):
        for one in tree:
            yield from _named_classes(one)


def _is_copy_of_ours(path: Path) -> bool:
    """Whether this is a shipped file in a run root's copy of the code."""
    parts = path.absolute().parts
    return ".code" in parts and PACKAGE.name in parts[parts.index(".code") :]
