"""Why Hydra refuses a word of the command line, in a line: what is wrong, and the nearest thing that exists."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException

from gapo_lab.config import moved_keys, search_path
from gapo_lab.config.known_keys import known_keys
from gapo_lab.config.override_caret import with_caret
from gapo_lab.errors import UserError
from gapo_lab.utils.key_names import did_you_mean

# How something of one's own is named, by group.
OWN = {
    "data": "Rows of your own: data=parquet data.train=FILE data.id=FILE",
    "reward": "A function of your own: reward=FILE.py:FUNCTION",
    "model": "A model of your own: model=FOLDER, or model=OWNER/NAME",
    "algo": "A method of your own: algo=FILE.py:FUNCTION",
}


def explain(error: Exception) -> str:
    """One line for an error of Hydra's: what was wrong, and the nearest thing that exists."""
    text = str(error)
    if isinstance(error, UserError):
        return text
    if (taken := re.search(r"Could not delete.*?'([^']+)'", text)) and taken.group(1) in known_keys():
        return f"~{taken.group(1)}: the value is null already. Leave the word out"
    if there := re.search(r"Could not append.*?already at '([^']+)'", text):
        return f"+{there.group(1)}: the key is there already. Leave the + out"
    if missing := re.search(r"Could not (?:override|append|delete).*?'([^']+)'", text):
        return unknown_key(missing.group(1))
    if missing := re.search(
        r"Could not find '([^']+)'\s*\n\s*Available options in '([^']+)':\s*\n(.*?)(?:\n\S|$)",
        text,
        re.DOTALL,
    ):
        group = missing.group(2)
        options = [name for name in missing.group(3).split() if f"{group}={name}" not in search_path.VERLS]
        word = missing.group(1).removeprefix(group + "/")
        said = f"{group}={word}: no such {group}{_nearest(word, options)}; there are: {', '.join(options)}"
        return f"{said}. {OWN[group]}" if group in OWN else said
    if several := re.search(r"Ambiguous value for argument '(.+?)'\s*\n", text):
        if several.group(1).startswith("+"):
            return f"{several.group(1)}: one at a time; what two sweeps share is one run"
        return f"{several.group(1)}: several values are a sweep: add -m after gapo_lab.run; a list is KEY=[a,b]"
    if isinstance(error, OverrideParseException):
        return unreadable(error.override, error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:3])[:400]


def unreadable(word: str, error: Exception) -> str:
    """One line for a word that Hydra's grammar refuses: what it stumbled over, and how to quote the value."""
    key, sign, value = word.partition("=")
    if value.startswith("choice(") and "NoneType" in str(error):
        return f"{word}: choice() takes no null. Write {key}={value[len('choice(') : -1]}"
    marked = with_caret(word)
    said = str(error).strip().partition("\n")[0] + (f" at the ^ of {marked}" if marked != word else "")
    quoted = f'{key}="{value}"'
    if sign and '"' not in value and _is_readable(quoted):
        return f"{word}: not a valid override ({said}). Keep the value whole by quotes inside quotes: '{quoted}'"
    return f"{word}: not a valid override ({said}). Write KEY=VALUE"


def _is_readable(word: str) -> bool:
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    return True


def unknown_key(key: str) -> str:
    """One line for a key that this configuration does not have."""
    if key == "sweep":
        return "sweep: is not in every run, so it is added: +sweep=NAME"
    leaves = known_keys()
    if key not in leaves and (new := moved_keys.new_name(key)):
        return f"{key}: verl 0.9 reads {new}"
    if key in leaves:
        return f"{key}: no such key with these choices of config files. Leave it out"
    keys = sorted({*leaves, *(leaf.partition(".")[0] for leaf in leaves)})
    node = key.rpartition(".")[0]
    closed = node and any(leaf.rpartition(".")[0] == node for leaf in leaves)  # nobody would read a further one
    return f"{key}: no such key{_nearest(key, keys)}" + ("" if closed else f"; `+{key}=...` adds a new one")


def _nearest(word: str, options: Sequence[str]) -> str:
    near = did_you_mean(word, options)
    return f" ({near})" if near else ""
