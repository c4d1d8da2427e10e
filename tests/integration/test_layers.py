"""Imports go one way: the contracts in pyproject.toml, which also read the imports inside functions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from lab import REPO


def lint(*words: str, cwd: Path = REPO, path: Path = REPO) -> subprocess.CompletedProcess:
    tool = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [tool, "--no-cache", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(path)},
        check=False,
        capture_output=True,
        text=True,
    )


def test_imports_go_strictly_downwards():
    done = lint()
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_import_upwards_is_found_also_inside_a_function(tmp_path):
    for folder in ("gapo_lab", "analysis"):
        for file in (REPO / folder).rglob("*.py"):
            copy = tmp_path / file.relative_to(REPO)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text((REPO / "pyproject.toml").read_text())
    with open(tmp_path / "gapo_lab" / "runs" / "metrics.py", "a") as file:
        file.write("\n\ndef up():\n    from gapo_lab.launch import slurm\n    return slurm\n")
    done = lint(cwd=tmp_path, path=tmp_path)
    assert done.returncode == 1 and "gapo_lab.runs.metrics -> gapo_lab.launch.slurm" in done.stdout


def test_the_architecture_page_has_the_rooms_in_the_order_of_the_contract():
    page = (REPO / "docs" / "architecture.md").read_text(encoding="utf-8")
    contracts = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    for package in ("gapo_lab", "analysis"):
        (layers,) = [one["layers"] for one in contracts if one.get("containers") == [package]]
        table = page.split(f"## The packages of `{package}`")[1].split("\n## ")[0]
        rows = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in table.splitlines() if row.startswith("| `")]
        wanted = sorted(room for layer in layers for room in layer.split(" | "))
        assert sorted(room for row in rows for room in row) == wanted
        height = {room: number for number, layer in enumerate(layers) for room in layer.split(" | ")}
        tops = [[height[room] for room in row] for row in rows]
        assert tops == sorted(tops), f"the packages of {package} stand in another order than in pyproject.toml"
