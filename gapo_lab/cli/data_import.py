"""`python -m gapo_lab.data import`: a known data set, or JSON lines, as files for `data=parquet`."""

from __future__ import annotations

import argparse
from pathlib import Path

from gapo_lab.data.user_rows import importing
from gapo_lab.data.user_rows.row_formats import RECIPES


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("name", choices=importing.NAMES, metavar="NAME", help=", ".join(importing.NAMES))
    parser.add_argument(
        "source",
        nargs="?",
        help="a folder or file with the data, or a Hugging Face id (default: the id of the data set; it is downloaded)",
    )
    parser.add_argument("--out", type=Path, help="folder to write to (default: data/NAME)")
    parser.add_argument(
        "--test", type=int, default=0, metavar="N", help="if the source has no test set, use its last N rows as one"
    )
    parser.add_argument("--prompt", metavar="KEY", help="jsonl: the field of the question (default: prompt)")
    parser.add_argument("--truth", metavar="KEY", help="jsonl: the field of the truth (default: answer)")
    parser.add_argument(
        "--data-source", metavar="NAME", help="jsonl: the name of the source, as the reward function receives it"
    )


def command(asked: argparse.Namespace) -> int:
    """Read and write the data. Print what was left out and what to run next."""
    keys = {"prompt": asked.prompt, "truth": asked.truth, "source": asked.data_source}
    found = importing.read(asked.name, asked.source, keys, asked.test)
    paths = importing.write(found, asked.out or Path("data") / asked.name)
    for path, rows in zip(paths, found.splits.values(), strict=True):
        print(f"{path}: {len(rows):,} rows")
    for reason, count in found.left_out.items():
        print(f"left out: {count:,} rows, {reason}")
    print(f"to train on them: {next_command(asked.name, dict(zip(found.splits, paths, strict=True)))}")
    return 0


def next_command(name: str, paths: dict[str, Path]) -> str:
    """Return the command that trains on these files. Words in capitals are placeholders."""
    reward = RECIPES[name].reward if name in RECIPES else "FILE.py:FUNCTION"
    train, test = (paths.get(split, f"{split.upper()}.parquet") for split in ("train", "test"))
    dev = f" data.dev={paths['dev']}" if "dev" in paths else ""
    return f"python -m gapo_lab.run data=parquet data.train={train} data.id={test}{dev} reward={reward}"
