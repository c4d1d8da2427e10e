"""The pictures of README and docs, from real runs in the working folder: `make pictures`.

plan.svg and demo.svg are what a terminal shows; where there is no such run yet, `make demo` trains it first. report.png
is the front of a report in Chromium, on the runs of docs/archive. group.svg is drawn.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from bench.overhead import DEMO
from docs_site import group_picture

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "img"
WIDTH = 108  # characters
PAGE = (1180, 900)  # pixels of the report's front
PLAN = "model=qwen_coder_7b,qwen3_8b algo=dapo,gapo_dapo tau=0.1,0.5 cluster=slurm check_disk=false"
ARCHIVE = IMAGES.parent / "archive" / "fair.tar.xz"
# the font that rich's SVG would load from the network
FONTS = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def main() -> None:
    """Make the four pictures, and say where they are."""
    (IMAGES / "group.svg").write_bytes(group_picture.picture())
    _gapo("gapo_lab.run", *DEMO)
    _terminal("plan.svg", "python -m gapo_lab plan " + PLAN.removesuffix(" check_disk=false"), _plan())
    _terminal("demo.svg", "make demo", _end_of(_gapo("gapo_lab.run", *DEMO)))
    _report("mechanism", IMAGES / "report.png")


def _gapo(module: str, *words: str) -> str:
    """Run a command as in a terminal of `WIDTH` characters, and return what it prints, colours included."""
    env = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH)}
    done = subprocess.run(
        [sys.executable, "-m", module, *words], env=env, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def _plan() -> str:
    """Return the plan without two of its notes, on attention and disk."""
    text = _gapo("gapo_lab", "plan", *PLAN.split())
    return _without(text.splitlines(), "attention is", "checkpoints of")


def _without(lines: list[str], *words: str) -> str:
    """Return the lines without those that have one of these words, and without their indented continuations."""
    kept: list[str] = []
    is_left_out = False
    for line in lines:
        goes_on = Text.from_ansi(line).plain.startswith("    ")
        is_left_out = is_left_out if goes_on else any(one in line for one in words)
        kept += [] if is_left_out else [line]
    return "\n".join(kept)


def _end_of(text: str) -> str:
    """Return a run's last table, without what only this machine has."""
    lines = text.splitlines()
    start = max(number for number, line in enumerate(lines) if "┏" in line)
    return _without(lines[start - 1 :], "charts")


def _terminal(name: str, command: str, output: str) -> None:
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    console.print(Text(f"$ {command}\n", style="bold"), Text.from_ansi(output), sep="")
    svg = console.export_svg(title="", code_format=FONTS, unique_id=Path(name).stem)
    (IMAGES / name).write_text(svg, encoding="utf-8")
    print(IMAGES / name)


def _report(study: str, path: Path) -> None:
    chromium = next((found for name in ("chromium", "google-chrome", "chrome") if (found := shutil.which(name))), None)
    if chromium is None:
        sys.exit("no Chromium on this machine. Install chromium, then give the same command again.")
    with tempfile.TemporaryDirectory() as folder:
        runs, report = Path(folder) / "runs", Path(folder) / "report"
        _gapo("gapo_lab", "--root", str(runs), "unpack", str(ARCHIVE))
        _gapo("analysis.report", study, "--runs", str(runs), "--out", str(report), "--spread", "--no-log")
        shot = [f"--window-size={PAGE[0]},{PAGE[1]}", f"--screenshot={path}", f"--user-data-dir={folder}/browser"]
        quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        page = (report / "report.html").as_uri()
        subprocess.run([chromium, *quiet, *shot, page], check=True, capture_output=True)
    print(path)


if __name__ == "__main__":
    main()
