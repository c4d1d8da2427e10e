"""What can be chosen on the command line: the config files of each group, ours and those of the working folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gapo_lab.config.search_path import FOLDERS
from gapo_lab.errors import UserError
from gapo_lab.paths import CONF, PACKAGE
from gapo_lab.utils.key_names import did_you_mean

# The groups that are chosen from, in the order in which --help shows them; `sweep` is added with a plus.
GROUPS = ("algo", "data", "model", "reward", "recipe", "scale", "backend", "cluster", "search", "sweep")
# The built-in template of prompts, which is no config file.
TEMPLATE = "data.template"


def files(group: str) -> dict[str, Path]:
    """Return the files of a group by name, those of the working folder after ours, which win."""
    shipped = [CONF / group, *([FOLDERS[group]] if group in FOLDERS else [])]
    found: dict[str, Path] = {}
    for folder in (*shipped, *(Path(one.relative_to(CONF.parent)) for one in shipped)):
        for path in sorted(folder.glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found


def of(word: str) -> Path:
    """Return the file of `algo=grpo`, `+sweep=fair` or `data.template`. UserError where there is none."""
    if word == TEMPLATE:
        return PACKAGE / "data" / "tasks" / "template.txt"
    group, _, name = word.lstrip("+").partition("=")
    if "/" not in group and group not in GROUPS:
        raise UserError(f"{word}: names no config file. Give {', '.join(GROUPS)} with a name, such as algo=grpo")
    there = files(group)
    if name not in there:
        near = did_you_mean(name, list(there))
        raise UserError(f"{word}: no such file{f' ({near})' if near else ''}. Give one of {', '.join(there)}")
    return there[name]


def lines() -> Iterator[str]:
    """Yield a line a group, `algo=   cispo dapo ...`, for --help."""
    for group in GROUPS:
        word = f"{'+' if group == 'sweep' else ''}{group}="
        yield f"{word:<10}{' '.join(files(group))}"
