"""A node that helps another one: until that is done, and again where Ray gives up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
from lab import PATIENCE, REPO

# In a process of its own, all descendants of which it ends.
HELPS = """
import os, sys
from gapo_lab.launch.run_nodes import help_until_gone
help_until_gone(__import__("pathlib").Path(sys.argv[1]), sys.argv[3:], dict(os.environ), float(sys.argv[2]))
"""
# Gives up twice, as Ray does on a busy machine; the third time it joins, and the head is done soon after.
JOINS_AT_LAST = """
import os, pathlib, sys, time
tries, head = map(pathlib.Path, sys.argv[1:])
tries.write_text(tries.read_text() + "x")
if len(tries.read_text()) < 3:
    sys.exit(1)
if os.fork():
    head.unlink()
time.sleep(1000)
"""


def helped(head: Path, patience: float, *words: str) -> str:
    """What is printed while a program helps the head, whose file is there at first."""
    head.write_text("{}")
    command = [sys.executable, "-c", HELPS, str(head), str(patience), sys.executable, "-c", *words]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True, timeout=PATIENCE)
    return done.stdout


def test_a_node_whose_ray_gives_up_joins_again_and_leaves_nothing(tmp_path):
    tries, head = tmp_path / "tries", tmp_path / "head"
    tries.write_text("")
    said = helped(head, 300, JOINS_AT_LAST, str(tries), str(head))
    assert tries.read_text() == "xxx" and said.count("once more") == 2
    found = psutil.process_iter(["cmdline"])
    assert not [one for one in found if str(tmp_path) in " ".join(one.info["cmdline"] or [])]


def test_a_node_gives_up_when_patience_is_over(tmp_path):
    assert helped(tmp_path / "head", 0, "raise SystemExit(1)") == ""
    assert (tmp_path / "head").exists()
