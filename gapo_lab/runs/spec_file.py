"""spec.yaml of a run folder: which run it is. Read, written, and held against another spec."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from gapo_lab.errors import UserError
from gapo_lab.utils import atomic_files, yaml_text
from gapo_lab.utils.yaml_text import NotYamlError

# Fields of a spec that may differ between two ways of asking for the same run: who asked, the names of
# config files (what they set is in "science"), where it runs, and what it is called.
NOT_IDENTITY = frozenset({"study", "overrides", "algo", "tau", "scale", "backend", "differs", "weights"})


def read(path: str | Path, shared: bool = False) -> dict[str, Any]:
    """Return the spec in a file. UserError where there is none, or no spec. shared: as of `parsed`."""
    try:
        spec = parsed(atomic_files.read_text(path), shared)
    except FileNotFoundError as error:
        raise UserError(f"{Path(path).parent} is no run folder: it has no spec.yaml") from error
    except ValueError as error:  # not UTF-8; a date that is none
        raise UserError(f"{path} is not valid YAML. Fix it or move the folder away") from error
    if not isinstance(spec, dict):
        raise UserError(f"{path} holds no spec (it was cut short?). Move the folder away")
    return spec


def parsed(text: str, shared: bool = False) -> Any:
    """Return what YAML makes of a spec's text. A part that other specs hold, too, is parsed once: the runs of a cell
    have the same science, which is most of what there is to read.

    shared: specs may hold the same values, which nobody may change then.
    """
    # anchors: a part may refer to another one
    if not text.endswith("\n") or "&" in text or "*" in text:
        return yaml_text.load(text)
    try:
        parts = [_value(lines, shared) for lines in _BETWEEN.split(text[:-1])]
    except (NotYamlError, _NotAlone, KeyError):  # no part; a name that is no text to YAML: `on`
        return yaml_text.load(text)
    found = dict(parts)
    return found if len(found) == len(parts) else yaml_text.load(text)  # two parts of one name


# Between two parts of a spec. Looking for it takes a tenth of the time of matching each line of a science.
_BETWEEN = re.compile(r"\n(?=[^ -])")
# A part of a spec: its name at the beginning of a line, and the rest of the line with indented lines, or with the lines
# of a list.
_PART = re.compile(r"([a-z_]+)(: .*\n(?:  .*\n)*|:\n(?:(?:  .*\n)+|(?:- .*\n(?:  .*\n)*)+))")
_ITEMS = re.compile(r"^- .*\n(?:  .*\n)*", re.MULTILINE)


# Of such values all readers can have the same one.
UNCHANGING = (str, int, float, type(None))


class _NotAlone(ValueError):
    """A part that means something else by itself."""


def _value(lines: str, shared: bool) -> tuple[str, Any]:
    """Return the name of a part and its value; the end of its last line is cut off."""
    # each run has others of these, or other ones together
    if lines.startswith("key: ") and (word := lines[5:]).isalnum() and word.isascii() and _is_text(word):
        return "key", word
    if lines.startswith("overrides:\n- ") and _PART.fullmatch(f"{lines}\n"):
        return "overrides", [_own(*_item(item), shared) for item in _ITEMS.findall(f"{lines[11:]}\n")]
    name, copy, value = _part(lines)
    return name, _own(copy, value, shared)


@lru_cache(maxsize=32_768)
def _is_text(word: str) -> bool:
    """Whether YAML takes a word of letters and digits as text: not as a number, nor as what `on` means."""
    return not any(pattern.match(word) for _, pattern in yaml_text.loader().yaml_implicit_resolvers.get(word[:1], ()))


def _own(copy: Callable[[Any], Any], value: Any, shared: bool) -> Any:
    """Return a value of the reader's own, unless it is shared."""
    return value if copy is _same or (shared and copy is dict) else copy(value)


@lru_cache(maxsize=32_768)
def _part(lines: str) -> tuple[str, Callable[[Any], Any], Any]:
    """Return the name of a part, its value as `_kept`."""
    if not (part := _PART.fullmatch(f"{lines}\n")):
        raise _NotAlone(lines)
    return part[1], *_kept(part[0], part[1])


@lru_cache(maxsize=32_768)
def _item(lines: str) -> tuple[Callable[[Any], Any], Any]:
    return _kept(lines, 0)


def _kept(lines: str, name: str | int) -> tuple[Callable[[Any], Any], Any]:
    """Return what is called ``name`` in what YAML makes of a part: what makes a copy of it for each reader, and what
    that is given."""
    found: Any = yaml_text.load(lines)
    is_one = isinstance(found, (dict, list)) and len(found) == 1
    if not is_one:
        raise _NotAlone(lines)
    value = found[name]
    if isinstance(value, UNCHANGING):
        return _same, value
    if isinstance(value, dict) and all(isinstance(one, UNCHANGING) for one in value.values()):
        return dict, value
    return pickle.loads, pickle.dumps(value)  # faster than by copying part by part


def _same(value: Any) -> Any:
    return value


def write(path: Path, spec: Mapping[str, Any]) -> None:
    atomic_files.write_text(path, as_yaml(spec))


def as_yaml(values: Mapping[str, Any], dumper: Any = None) -> str:
    """``values`` as YAML that a person can read, and that reads as the same values. PyYAML writes U+0085 as it stands
    and reads it as the end of a line; text that holds it is escaped."""
    import yaml

    dumper = dumper or yaml.SafeDumper
    text: str = yaml.dump(dict(values), Dumper=dumper, sort_keys=False, allow_unicode=True)
    return yaml.dump(dict(values), Dumper=dumper, sort_keys=False) if "\x85" in text else text


def plain(spec: Mapping[str, Any]) -> dict[str, Any]:
    """``spec`` as YAML gives it back, so that it compares equal after a round trip."""
    try:
        return _plain(dict(spec))
    except _NotPlain:
        import yaml

        return yaml.safe_load(yaml.safe_dump(dict(spec), sort_keys=False))


class _NotPlain(ValueError):
    """A value of which only YAML says how it is read back."""


def _plain(value: Any) -> Any:
    if type(value) in (*UNCHANGING, bool):
        return value
    if type(value) in (list, tuple):
        return [_plain(one) for one in value]
    if type(value) is dict and all(type(name) is str for name in value):
        return {name: _plain(one) for name, one in value.items()}
    raise _NotPlain


def differences(there: Mapping[str, Any], mine: Mapping[str, Any]) -> str:
    """'name: theirs, not mine' for up to three differing fields of the identity; '' when there is none."""
    if there == mine:
        return ""
    there, mine = (_flat(spec) for spec in (there, mine))
    names = [n for n in sorted(there.keys() | mine.keys()) if there.get(n, "absent") != mine.get(n, "absent")]
    said = [f"{n}: {there.get(n, 'absent')}, not {mine.get(n, 'absent')}" for n in names[:3]]
    return "; ".join(said + ([f"and {len(names) - 3} more"] if len(names) > 3 else []))


def _flat(spec: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in spec.items():
        if not prefix and name in NOT_IDENTITY:
            continue
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{name}/")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
