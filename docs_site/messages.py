"""The reference of messages: every error that a person can meet, read out of the sources, as a page of Markdown."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("gapo_lab", "analysis")
ERRORS = {"UserError", "RunFailed"}
HEAD = """# All messages

Made from the sources: the messages with which a command refuses or ends, by the part of the program that says them.
Words in *italics* stand for values. Most messages name the remedy; those that need more are in
[troubleshooting](../troubleshooting.md).
"""


@dataclass(frozen=True)
class Message:
    """A message of the sources: its file, and its text with `{...}` where values stand."""

    file: str
    text: str


@cache
def found() -> tuple[Message, ...]:
    """Return the messages of all errors, and of the rules in gapo_lab.planning, whose text stands in the sources."""
    out = []
    for path, tree in _trees():
        for node in ast.walk(tree):
            said = _said(node)
            if said is not None and (not isinstance(node, ast.Yield) or "planning" in path.parts):
                text = _text(said)
                if len(re.sub(r"\{[^{}]*\}|\W", "", text)) > 8:
                    out.append(Message(path.relative_to(ROOT).as_posix(), " ".join(text.split())))
    return tuple(out)


@cache
def literals() -> str:
    """Return all text between quotes in the sources, with `{...}` where values stand, and setup.sh; a line each."""
    lines = (ROOT / "setup.sh").read_text(encoding="utf-8").splitlines()
    for _, tree in _trees():
        lines += [
            " ".join(_text(node).split()) for node in ast.walk(tree) if isinstance(node, (ast.JoinedStr, ast.Constant))
        ]
    return "\n".join(lines)


def is_said(quoted: str) -> bool:
    """Whether the program can say `quoted`. `KEY`, `...` and other words in capitals stand for values."""
    parts = [part.strip() for part in re.split(r"\.\.\.|\b[A-Z][A-Z_]*\b", quoted)]
    parts = [part for part in parts if re.search(r"[a-z]{3}", part)]
    return bool(parts) and any(all(part in line for part in parts) for line in literals().splitlines())


def page() -> str:
    """Return the page: a section for each room of the sources."""
    out = [HEAD]
    rooms: dict[str, list[Message]] = {}
    for message in found():
        rooms.setdefault(_room(message.file), []).append(message)
    for room, messages in sorted(rooms.items()):
        out.append(f"\n## {room}\n")
        out += [f"- {_shown(message.text)}" for message in messages]
    return "\n".join(out) + "\n"


def _said(node: ast.AST) -> ast.expr | None:
    """Return what a node says to a person: the text of an error, or the fault that a rule yields."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS and node.args:
        return node.args[0]
    return node.value if isinstance(node, ast.Yield) and isinstance(node.value, (ast.JoinedStr, ast.Constant)) else None


@cache
def _trees() -> tuple[tuple[Path, ast.Module], ...]:
    """Return the sources, parsed once for all that is read out of them."""
    paths = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    return tuple((path, ast.parse(path.read_text(encoding="utf-8"))) for path in paths)


def _room(file: str) -> str:
    parts = Path(file).parts
    return f"{parts[0]}.{parts[1]}".removesuffix(".py")


def _text(node: ast.expr) -> str:
    """Return a message's text; `{name}` for a value, what both arms of a choice say joined by a stroke."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    if isinstance(node, ast.IfExp):
        return " / ".join(text for text in (_text(node.body), _text(node.orelse)) if text)
    if isinstance(node, ast.FormattedValue):
        return f"{{{_name(node.value)}}}"
    return f"{{{_name(node)}}}"


def _name(node: ast.expr) -> str:
    """Return the word that stands for a value: what a call is about, else the last name in it."""
    while isinstance(node, ast.Call):
        inner = node.args[0] if node.args else node.func
        node = inner.value if isinstance(inner, ast.Attribute) and not node.args else inner
    names = [
        n.id if isinstance(n, ast.Name) else n.attr for n in ast.walk(node) if isinstance(n, (ast.Name, ast.Attribute))
    ]
    return names[0].strip("_") if names else "..."


def _shown(text: str) -> str:
    """Return the text as Markdown, with its values in italics."""
    parts = re.split(r"\{([^{}]*)\}", text)
    plain = [re.sub(r"([\\`*_<>\[\]#])", r"\\\1", part) for part in parts]
    return "".join(f"*{part}*" if number % 2 else part for number, part in enumerate(plain))
