"""Recorded group rewards, from a run's dumped rollouts or from a table of uid and reward."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gapo_lab.errors import UserError

SUFFIXES = (".csv", ".parquet", ".jsonl")
EVEN = 0.02  # mean and median closer than this: symmetric
KINDS = ("left-skewed", "right-skewed", "symmetric", "flat")


@dataclass(frozen=True)
class Rewards:
    """rewards (B,) finite, groups (B,) numbers from 0 on, uids: the name of each group."""

    rewards: np.ndarray
    groups: np.ndarray
    uids: list[str]

    def members(self) -> list[np.ndarray]:
        """Return the rewards of each group, in order."""
        order = np.argsort(self.groups, kind="stable")
        return np.split(self.rewards[order], np.cumsum(np.bincount(self.groups))[:-1])


def load(path: Path, column: str = "reward") -> Rewards:
    """Return a CSV or parquet of `uid` and `reward`, a file of generations, or a folder that holds some (a run's).

    Of a run the newest attempt that wrote a training step counts for it. Raises UserError, one line, for a path without
    rewards, a missing column, or a reward that is not a finite number, naming its uid.
    """
    if path.is_dir():
        files = _generations(path)
        if not files:
            raise UserError(f"{path}: no rewards there. Give a run folder, generations/train, or a CSV or parquet file")
        table = pd.concat([_table(file) for file in files], ignore_index=True)
    elif path.suffix in SUFFIXES and path.is_file():
        table = _table(path)
    else:
        raise UserError(f"{path}: no such file. Rewards come from a folder or from {', '.join(SUFFIXES)}")
    name = column if column in table or column != "reward" else "score"
    for needed in ("uid", name):
        if needed not in table:
            raise UserError(f"{path}: no column {needed}. It has {', '.join(map(str, table.columns))}")
    return from_table(table["uid"].astype(str), table[name], str(path))


def from_table(uids: pd.Series, values: pd.Series, source: str = "rewards") -> Rewards:
    """Uids and rewards, a row each, in any order."""
    rewards = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float)
    if not len(rewards):
        raise UserError(f"{source}: no rows")
    if not np.isfinite(rewards).all():
        row = int(np.flatnonzero(~np.isfinite(rewards))[0])
        raise UserError(f"{source}: the reward {values.iloc[row]} of uid {uids.iloc[row]} is not a finite number")
    groups, names = pd.factorize(uids)
    return Rewards(rewards, groups, list(names))


def kind(rewards: np.ndarray) -> str:
    """By mean - median: a mean that low outliers pull below the median is left-skewed (Appendix A.2)."""
    if np.ptp(rewards) == 0:
        return "flat"
    gap = float(rewards.mean() - np.median(rewards))
    if abs(gap) < EVEN:
        return "symmetric"
    return "left-skewed" if gap < 0 else "right-skewed"


def _generations(folder: Path) -> list[Path]:
    """Return the files of training generations under a folder; of two attempts' file for one step the newer."""
    newest: dict[str, Path] = {}
    places = sorted(folder.glob("attempts/*/generations/train"), key=lambda p: int(p.parents[1].name))
    for place in places or [folder]:
        newest.update({file.name: file for file in place.glob("*.jsonl")})
    return sorted(newest.values(), key=lambda file: (len(file.stem), file.stem))


def _table(path: Path) -> pd.DataFrame:
    if path.suffix == ".csv":
        return pd.read_csv(path, dtype={"uid": str})
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            break  # cut short by a crash
        # A prompt's rollouts share the uid up to their own two numbers; a prompt may come twice in a batch.
        own = re.fullmatch(r"(.+)_\d+_\d+", str(row.get("uid", "")))
        prompt = own[1] if own else str(row.get("input"))
        rows.append({**{k: v for k, v in row.items() if not isinstance(v, (list, dict))}, "uid": prompt})
    return pd.DataFrame(rows)
