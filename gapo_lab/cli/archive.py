"""`gapo-lab pack` and `gapo-lab unpack`: finished runs as one small file, to keep or to send."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from gapo_lab.cli.select import chosen
from gapo_lab.runs.run_root import RunRoot
from gapo_lab.utils.text import several


def add(one: Callable[..., argparse.ArgumentParser]) -> None:
    """Put both commands into the parser; ``one(name, function, text)`` makes the parser of one."""
    words = one("pack", pack, "write finished runs to one small file, without checkpoints, logs and answers")
    words.add_argument("study", nargs="+", help="studies, keys of runs, or all")
    words.add_argument("--out", type=Path, required=True, metavar="FILE.tar.xz", help="the file to write")
    words = one("unpack", unpack, "extract the runs of such a file as run folders, for plans, reports and status")
    words.add_argument("file", nargs="+", type=Path, metavar="FILE.tar.xz", help="a file that gapo-lab pack wrote")


def pack(asked: argparse.Namespace) -> int:
    from gapo_lab.runs import archive

    with RunRoot(asked.root) as runs:
        keys = {key for word in asked.study for key in chosen(runs, word)}
    packed = archive.pack(asked.root, keys, asked.out)
    size = asked.out.stat().st_size / 1e6
    print(f"{asked.out}: {several(packed, 'run')}, {size:.2g} MB")
    if left := len(keys) - packed:
        print(f"left out: {several(left, 'run')} that {'has' if left == 1 else 'have'} not finished")
    return 0


def unpack(asked: argparse.Namespace) -> int:
    from gapo_lab.runs import archive

    for path in asked.file:
        new, there = archive.unpack(path, asked.root)
        already = f"; {several(len(there), 'run')} stood there already" if there else ""
        print(f"{path}: {several(len(new), 'run')} unpacked to {asked.root}{already}")
    return 0
