"""A reward function of the user's own between verl and its file: told of the row as the file has it, checked, timed.

verl calls `score` (or `score_async`) with what `wrap` wrote into the configuration of the job.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import math
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from numbers import Real
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from gapo_lab.data.user_rows.rows import place, told
from gapo_lab.errors import UserError
from gapo_lab.paths import SHIPPED_MODULE
from gapo_lab.rewards import sandbox
from gapo_lab.training.answer_labels import labelled
from gapo_lab.training.call_limit import TooLong, deadline
from gapo_lab.training.reward_function import ERROR_FILE, reason_kept
from gapo_lab.utils.text import type_and_line

HERE = "pkg://gapo_lab.training.user_reward"


def wrap(config: DictConfig) -> None:
    """Put `score` in front of the reward function of a job's configuration, where it is the user's or the rows are.

    Raises UserError where the function cannot be loaded.
    """
    asked = config.reward.custom_reward_function
    is_users = not str(asked.path).startswith(SHIPPED_MODULE)
    boxed = config.reward.get("sandbox")
    if boxed and boxed.isolation != sandbox.NONE:
        sandbox.check()
    if not asked.path or not (is_users or boxed or config.data.name == "parquet"):
        return
    function = load(asked.path, asked.name, config.reward.name)
    about = {
        "path": asked.path,
        "name": asked.name,
        "called": str(config.reward.name),
        "seconds": float(config.reward.timeout) if is_users else None,
        "settings": {**(asked.get("reward_kwargs") or {}), **(boxed or {})},
    }
    with open_dict(config):
        asked.path = HERE
        asked.name = (score_async if inspect.iscoroutinefunction(function) else score).__name__
        asked.reward_kwargs = {"lab": about}


@cache
def load(path: str, name: str, called: str = "") -> Callable[..., Any]:
    """Return the function `name` of a Python file, or of a module `pkg://MODULE`. UserError where there is none."""
    if path.startswith(SHIPPED_MODULE):
        return getattr(importlib.import_module(path.removeprefix("pkg://")), name)
    from verl.utils.import_utils import load_extern_object

    try:
        return load_extern_object(module_path=path, object_name=name)
    except Exception as error:  # whatever the user's file does while it is imported
        first = error.__cause__ or error
        said = f"{type(first).__name__}: {first}"
        raise UserError(f"reward={called or path}: cannot be loaded ({said:.300})") from error


@labelled
def score(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: Any = None, *, lab: Mapping, **more
) -> dict:
    """Return what the user's function says of one answer, as numbers and texts by name; `score` is the reward."""
    with reason_kept():
        call, row = _call(data_source, solution_str, ground_truth, extra_info, lab, more)
        limit = nullcontext() if lab["seconds"] is None else deadline(lab["seconds"], hung(lab, row), _reason())
        with limit, row_named(lab, row, solution_str):
            found = call()
        return checked(found, lab["called"], row)


@labelled
async def score_async(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: Any = None, *, lab: Mapping, **more
) -> dict:
    """As `score`, for an `async def`."""
    with reason_kept():
        call, row = _call(data_source, solution_str, ground_truth, extra_info, lab, more)
        try:
            with row_named(lab, row, solution_str):
                found = await asyncio.wait_for(call(), lab["seconds"])
        except TimeoutError as error:
            raise TooLong(hung(lab, row)) from error
        return checked(found, lab["called"], row)


def _call(
    data_source: str, solution: str, truth: Any, extra_info: Any, lab: Mapping, more: Mapping
) -> tuple[Callable[[], Any], str]:
    """Return the call of the user's function on this answer, and the place of its row."""
    function, row = load(lab["path"], lab["name"], lab["called"]), place(extra_info)
    source, truth, about = told(data_source, truth, extra_info)
    words = {"data_source": source, "solution_str": solution, "ground_truth": truth, "extra_info": about}
    return partial(function, **{**words, **more, **lab["settings"]}), row


class RewardRaised(Exception):
    """The user's function has raised something."""


@contextmanager
def row_named(lab: Mapping, row: str, answer: str) -> Iterator[None]:
    """Raise what the user's function raises with the line that did, the row and the answer."""
    try:
        yield
    except (TooLong, TimeoutError):
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        theirs = [one for one in frames if Path(one.filename).name == Path(str(lab["path"])).name] or frames
        where = f"{Path(theirs[-1].filename).name}, line {theirs[-1].lineno}"
        said = f"raised {type_and_line(error)} ({where}) for {row} and the answer {answer!r:.100}"
        raise RewardRaised(f"reward={lab['called']}: {said}. Mend it.") from error


def hung(lab: Mapping, row: str) -> str:
    return (
        f"reward={lab['called']}: has not answered on {row} for {lab['seconds']:g} seconds. Mend it, or give it "
        "longer: reward.timeout=SECONDS"
    )


def _reason() -> Path | None:
    path = os.environ.get(ERROR_FILE)
    return Path(path) if path else None


# What the rewards of this process have returned by name: numbers, or texts.
_KINDS: dict[tuple[str, str], type] = {}
_WORDS = {float: "a number", str: "a text"}


def checked(found: Any, called: str, row: str) -> dict[str, float | str | None]:
    """Return a reward's answer as numbers and texts by name, with `score`; a number is the score and, as in verl,
    `acc`.

    None stays: such a row does not count in the mean of that name. Raises ValueError, naming the reward and the row,
    for anything else.
    """
    if _is_number(found):
        found = {"score": found, "acc": found}
    if not isinstance(found, Mapping) or not _is_number(found.get("score")):
        raise ValueError(
            f"reward={called}: returned {found!r:.100} for {row}. It must return a number, or a dict with a number "
            "called score."
        )
    out = {str(name): _plain(value) for name, value in found.items()}
    if not math.isfinite(reward := float(out["score"] or 0)):
        raise ValueError(f"reward={called}: the score of {row} is {reward}. It must be a finite number.")
    for name, value in out.items():
        _always_of_one_kind(name, value, called, row)
    return out


def _always_of_one_kind(name: str, value: float | str | None, called: str, row: str) -> None:
    before = _KINDS.setdefault((called, name), type(value)) if value is not None else type(value)
    if before is not type(value):
        raise ValueError(
            f"reward={called}: returned {name}={value!r:.60} for {row}, and {_WORDS[before]} for earlier rows. A name "
            "must always be a number, or always a text."
        )


def _is_number(value: Any) -> bool:
    """Whether it is a number: Python's, or an array or a tensor of one element."""
    if isinstance(value, Real):
        return True
    count = getattr(value, "numel", None)
    size = count() if callable(count) else getattr(value, "size", None)
    return hasattr(value, "item") and size == 1


def _plain(value: Any) -> float | str | None:
    """Return a number as a float, anything else as a text."""
    if value is None:
        return None
    if not _is_number(value):
        return value if isinstance(value, str) else str(value)
    return float(value if isinstance(value, Real) else value.item())
