"""Small repositories made by git itself, for the tests of the miner."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

ENV = {
    **{k: v for k, v in os.environ.items() if not k.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "Some Body"), ("EMAIL", "some.body@example.invalid"))
    },
}
SUFFIXES = {
    "go": "go",
    "python": "py",
    "java": "java",
    "cpp": "cpp",
    "kotlin": "kt",
    "typescript": "ts",
    "javascript": "js",
    "c": "c",
    "rust": "rs",
    "lua": "lua",
}


def git(folder, *args, clock=1_700_000_000, stdin: bytes | None = None) -> bytes:
    env = {**ENV, "GIT_AUTHOR_DATE": f"{clock} +0000", "GIT_COMMITTER_DATE": f"{clock} +0000"}
    done = subprocess.run(["git", *args], cwd=folder, env=env, capture_output=True, check=True, input=stdin)
    return done.stdout


def init(folder: Path) -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    return folder


def commit(folder: Path, files: dict[str, str | bytes | None], message="Change things", day=0) -> None:
    """Write (or with None delete) files and commit them."""
    for name, content in files.items():
        path = folder / name
        if content is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message, clock=1_700_000_000 + 86_400 * day)


def code(**changes: str) -> str:
    """Sixty lines, with line l7 as given by l7="..."."""
    return "".join(changes.get(f"l{i}", f"statement number {i};") + "\n" for i in range(1, 61))


TWICE = code(l10="first change", l40="second change")


def grow(folder: Path, names: list[str], commits: int, seed: int = 0) -> Path:
    """A repository in which every commit changes three places of every file; written by one fast-import."""
    pick = random.Random(seed)
    texts = {name: code() for name in names}
    stream = []
    for day in range(commits + 1):
        for name in names if day else ():
            lines = texts[name].splitlines(keepends=True)
            for at in sorted(pick.sample(range(0, len(lines), 12), 3), reverse=True):
                lines[at : at + 1] = [f"line {pick.random()}\n" for _ in range(pick.choice([1, 1, 3]))]
            texts[name] = "".join(lines)
        who = f"Some Body <some.body@example.invalid> {1_700_000_000 + 86_400 * day} +0000"
        stream.append(f"commit refs/heads/main\ncommitter {who}\ndata 6\nStep {day % 10}\n")
        for name, text in texts.items():
            stream.append(f"M 100644 inline {name}\ndata {len(text.encode())}\n{text}\n")
    git(init(folder), "fast-import", "--quiet", stdin="".join(stream).encode())
    return folder
