"""A configuration's reward function, called outside of training as verl calls it in a run."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gapo_lab.errors import UserError
from gapo_lab.training import user_reward
from gapo_lab.training.reward_function import compute_score

OURS = "pkg://gapo_lab.training.reward_function"
# Where a run folder has what its reward imports (planning/user_files.py).
IMPORTED = Path("files") / "imported"


def is_exact_match(config: DictConfig) -> bool:
    """Say whether the reward is exact match with one text, which the likelihood of that text expects."""
    asked = config.reward.custom_reward_function
    return (asked.path, asked.name) == (OURS, compute_score.__name__)


class RewardCalls:
    """Calls the reward of a configuration; ``config`` stays as it is.

    run: the run folder of a run, which has copies of what its reward imports. Raises UserError where the function
    cannot be loaded.
    """

    def __init__(self, config: DictConfig, run: Path | None = None) -> None:
        self.config = config
        here = str((run / IMPORTED).absolute()) if run else os.getcwd()
        if here not in sys.path:
            sys.path.insert(0, here)
        called = OmegaConf.create({"reward": config.reward, "data": {"name": config.data.name}})
        if run:
            _use_copy(called, run)
        asked = called.reward.custom_reward_function
        if Path(str(asked.path)).is_file():
            asked.path = str(Path(asked.path).absolute())  # what was loaded is kept by this
        user_reward.wrap(called)
        asked = called.reward.custom_reward_function
        self._called = str(called.reward.get("name") or asked.name)
        self._function = user_reward.load(asked.path, asked.name, self._called)
        self._words = OmegaConf.to_container(OmegaConf.create(asked.get("reward_kwargs") or {}), resolve=True)

    def scores(self, rows: Sequence[Mapping[str, Any]], answers: Sequence[str]) -> list[dict[str, Any]]:
        """Return what the reward says of each row's answer, by name; `async def` functions wait together.

        Raises UserError, one line, for whatever the function raises.
        """
        asked = [
            {
                "data_source": row["data_source"],
                "solution_str": answer,
                "ground_truth": row["reward_model"]["ground_truth"],
                "extra_info": row["extra_info"],
                **self._words,
            }
            for row, answer in zip(rows, answers, strict=True)
        ]
        try:
            if not inspect.iscoroutinefunction(self._function):
                return [self._function(**words) for words in asked]
            return asyncio.run(self._together(asked))
        except Exception as error:  # whatever the user's function does
            said = str(error) if self._called in str(error) else f"{type(error).__name__}: {error}"
            raise UserError(f"reward={self._called}: {said.removeprefix(f'reward={self._called}: '):.300}") from error

    async def _together(self, asked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return await asyncio.gather(*(self._function(**words) for words in asked))


def _use_copy(config: DictConfig, run: Path) -> None:
    """Take the reward's copy in the run folder, where that has moved since the run."""
    asked = config.reward.custom_reward_function
    before, _, inside = str(asked.path).rpartition(f"/{IMPORTED.parts[0]}/")
    if before and not Path(asked.path).is_file() and (there := run / IMPORTED.parts[0] / inside).is_file():
        asked.path = str(there.absolute())
