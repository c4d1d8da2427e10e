"""`plan --from-verl FILE.sh`: translates a launch script of verl into the equivalent GAPO Lab command."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml

from gapo_lab.config import sweep_grid
from gapo_lab.errors import UserError
from gapo_lab.paths import CONF
from gapo_lab.planning import verl_script
from gapo_lab.utils import shell_script_reader

# The longest line of the printed command, in characters.
A_LINE = 100


def read(file: str, extra: Sequence[str]) -> list[str]:
    """Print how each setting of the script is translated, and the command. Return the overrides of that command.

    extra: overrides from the command line, which replace those of the script.
    UserError if the file does not exist, trains nothing, or has values that are known only when it runs.
    """
    try:
        text = Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"--from-verl {file}: {error.strerror}. Give the script that starts verl") from error
    here = {sweep_grid.key(word): word.partition("=")[2] for word in extra}
    try:
        command = verl_script.find_command(shell_script_reader.read(text, os.environ))
        made = verl_script.translate(command, models(), here)
    except (ValueError, UserError) as error:
        raise UserError(f"--from-verl {file}: {error}") from error
    words = [*made.overrides(), *extra]
    print(f"{file}, line {command.line}: {command.words[0]}")
    print("\n".join([*(f"  {line}" for line in made.lines), "", *_command(words), ""]), flush=True)
    if made.open:
        raise UserError("\n".join(made.open))
    return words


def models() -> dict[str, str]:
    """Return the included model configs: config name -> the Hugging Face id that it trains."""
    found = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(CONF.glob("model/*.yaml"))}
    return {name: path for name, read in found.items() if "$" not in (path := str(read["model"]["path"]))}


def _command(words: Sequence[str]) -> list[str]:
    """Return the command as it can be pasted, cut into lines."""
    lines, now = [], "python -m gapo_lab.run -m"
    for word in words:
        shown = _quoted(word)
        if len(now) + len(shown) > A_LINE:
            lines.append(f"{now} \\")
            now = "   "
        now += f" {shown}"
    return [*lines, now]


def _quoted(word: str) -> str:
    """Return the word for a shell; with double quotes where it has single ones, which is easier to read."""
    if re.fullmatch(r"[\w.+=/:,@%-]+", word):
        return word
    return f'"{word}"' if "'" in word and not re.search(r'["$`\\!]', word) else shlex.quote(word)
