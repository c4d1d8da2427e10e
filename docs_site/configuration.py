"""The reference of the configuration: every key of conf/ with its value and the comment above it, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"
KEY = re.compile(r"(?P<indent> *)(?P<dash>- )?(?P<key>[^\s:#][^:#]*?):(?: +(?P<value>.*))?$")

HEAD = """# Configuration

Made from the comments in `conf/`. Any key can be given on the command line as `KEY=VALUE`. A file of a group is chosen
by its name: `algo=grpo`. Keys that are not here are verl's own. `???` must be given, `null` is nothing, and `${...}`
follows another key.

"""
GROUPS = {
    "": ("The run", "What every run has."),
    "algo": ("algo: the method", "What each computes: [methods](../../methods.md)."),
    "backend": ("backend: the engines", "Where it trains and generates."),
    "cluster": ("cluster: where it runs", "[SLURM](../../slurm.md), or this machine."),
    "data": (
        "data: what is trained on",
        "[Your own rows](../../your-own.md), [mined edits](../../data.md), or generated ones.",
    ),
    "model": ("model: what is trained", "The shipped models, and the paper's."),
    "recipe": ("recipe: where settings come from", "The paper's, or those of verl's examples."),
    "reward": ("reward: what scores an answer", "[Your own](../../your-own.md#rewards), or one of these."),
    "scale": ("scale: how much is trained", "From seconds to the paper's size."),
    "search": ("search: Optuna's settings", "[Search](../../search.md)."),
}


@dataclass(frozen=True)
class Setting:
    """A key of a file: its dotted name, its value as written, and the comment above it."""

    key: str
    value: str
    comment: str


def pages() -> dict[str, str]:
    """Return {page's path: its Markdown}: an index, and a page for each group of conf/."""
    out = {"reference/configuration/index.md": HEAD + "".join(_links())}
    for group, (title, about) in GROUPS.items():
        parts = [f"# {title}\n\n{about}\n"]
        files = sorted((CONF / group).glob("**/*.yaml" if group else "*.yaml"), key=_order)
        parts += [_file(path, group) for path in files]
        out[f"reference/configuration/{group or 'run'}.md"] = "\n".join(parts)
    return out


def settings(text: str) -> Iterator[Setting]:
    """Read a config file's settings. Each line of comment above a key belongs to that key."""
    text = text.removeprefix("\n".join(_head(text))).lstrip("\n") if _head(text) else text
    above: list[str] = []
    parents: list[tuple[int, str]] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            above.append(stripped.removeprefix("#").strip())
        elif not stripped:
            above = []
        elif found := KEY.match(line):
            indent = len(found["indent"])
            parents = [(depth, name) for depth, name in parents if depth < indent]
            key, value = found["key"].strip("\"'"), found["value"] or ""
            dotted = ".".join([*(name for _, name in parents), key])
            if value and not found["dash"]:
                yield Setting(dotted, value, " ".join(above))
            elif not value:
                parents.append((indent, key))
            above = []
        else:
            above = []


def heading(text: str) -> str:
    """Return the comment at the head of a file, without Hydra's directive."""
    return " ".join(line.removeprefix("#").strip() for line in _head(text) if not line.startswith("# @package"))


def _head(text: str) -> list[str]:
    """Return the lines of comment at the head of a file, without the last one where that is the first key's own."""
    lines = text.splitlines()
    end = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    found = KEY.match(lines[end]) if end < len(lines) else None
    return lines[: end - 1] if found and found["value"] else lines[:end]


def _links() -> Iterator[str]:
    for group, (title, about) in GROUPS.items():
        yield f"- [{title}]({group or 'run'}.md). {about}\n"


def _file(path: Path, group: str) -> str:
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(CONF / group).with_suffix("").as_posix()
    title = f"{group}={name}" if group and "/" not in name else path.relative_to(ROOT).as_posix()
    out = [f"\n## {title}\n", _plain(heading(text)), ""]
    found = list(settings(text))
    out += [f"- `{one.key}` = `{one.value}`" + (f"<br>{_plain(one.comment)}" if one.comment else "") for one in found]
    return "\n".join(out) + "\n"


def _plain(text: str) -> str:
    """Return a comment as Markdown that shows it as it is written; an empty one stays empty."""
    text = re.sub(r"([\\`*_<>\[\]])", r"\\\1", text)
    return re.sub(r"docs/([a-z-]+)\.md(#[\w\\-]+)?", _link, text)


def _link(found: re.Match[str]) -> str:
    anchor = (found[2] or "").replace("\\", "")
    return f"[{anchor.removeprefix('#') or found[1]}](../../{found[1]}.md{anchor})"


def _order(path: Path) -> tuple[bool, int, str]:
    """Sort config.yaml first, then a group's own files, then what they build on."""
    return path.name != "config.yaml", len(path.parts), path.name
