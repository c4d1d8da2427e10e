"""The made parts of a results page, from an archive of runs: ``python -m analysis.page PAGE --archive FILE WORD...``.

Nothing is trained. The same archive gives the same bytes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gapo_lab.errors import UserError
from gapo_lab.utils import command_line

ABOUT = """The made parts of a results page, and its pictures, from an archive of runs: nothing is trained."""
EXAMPLES = """examples:
  python -m analysis.page docs/results.md --archive docs/archive/fair.tar.xz +sweep=fair --also +sweep=mechanism"""


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(
        prog="python -m analysis.page",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    out.add_argument("page", type=Path, metavar="PAGE", help="a Markdown page with places for the parts")
    out.add_argument(
        "--archive", type=Path, required=True, metavar="FILE.tar.xz", help="what gapo-lab pack has written"
    )
    out.add_argument("sweep", nargs="+", metavar="KEY=VALUE", help="the sweep that the runs are of, as +sweep=fair")
    out.add_argument(
        "--also",
        nargs="+",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another sweep of the archive, whose parts are called STUDY:PART",
    )
    return out


def main(words: list[str] | None = None) -> int:
    """Exit code 0, or 2 for a user's mistake."""
    from analysis.render import markdown

    try:
        asked = command_line.parse(parser(), words)
        made = files(asked.page, asked.archive, asked.sweep, *asked.also)
        markdown.write_all(made, "Name another page")
    except UserError as error:
        print(f"analysis: {error}", file=sys.stderr)
        return 2
    for path in stale(made, asked.page):
        path.unlink()
    print(f"{len(made)} files for {asked.page}")
    return 0


def files(page: Path, archive: Path, sweep: Sequence[str], *also: Sequence[str]) -> dict[Path, bytes]:
    """Return the page and the pictures that it shows, in `img/<its name>/` beside it, as they are to be; write nothing.

    also: the words of other sweeps of the archive; their parts are called `STUDY:PART`, their pictures `STUDY-PICTURE`.
    """
    from analysis.page import blocks, progress
    from analysis.page.fill import fill
    from gapo_lab.runs import archive as archives
    from gapo_lab.runs import forget, studies
    from gapo_lab.runs.run_root import find

    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {page} ({error.strerror}). Name a page that is there") from error
    images = f"img/{page.stem}"
    with tempfile.TemporaryDirectory(prefix="gapo-page-") as made:
        root = Path(made) / "runs"
        archives.unpack(archive, root)
        found = [progress.look(words, root) for words in (sweep, *also)]
        counting = [(study, key) for one in found for study, keys in one.counting.items() for key in keys]
        forget.forget(root, {folder.key for folder in find(root)} - {key for _, key in counting})
        studies.remember(root, counting)
        parts = [blocks.make(root, one, images, of=one.study if place else "") for place, one in enumerate(found)]
    texts = {name: block for one in parts for name, block in one.blocks.items()}
    pictures = {name: content for one in parts for name, content in one.pictures.items()}
    filled = fill(text, texts)
    shown = {name: content for name, content in pictures.items() if f"({images}/{name})" in filled}
    return {page: filled.encode()} | {page.parent / images / name: content for name, content in shown.items()}


def stale(made: dict[Path, bytes], page: Path) -> list[Path]:
    """Return the pictures of the page that it no longer has."""
    return sorted(set((page.parent / "img" / page.stem).glob("*.svg")) - made.keys())
