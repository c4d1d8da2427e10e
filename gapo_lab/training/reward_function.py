"""The rewards as verl calls them (`reward.custom_reward_function`): Eq. 5, choices from a list, GSM8K, MATH."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from gapo_lab.data.lists.generator import score_choice
from gapo_lab.data.ood.zeta import between_markers
from gapo_lab.rewards import unit_tests
from gapo_lab.rewards.edit_reward import score
from gapo_lab.rewards.sandbox import Limits
from gapo_lab.training.answer_labels import labelled
from gapo_lab.utils.machine import cores

# Where the job looks for the reason when verl, which only logs a reward's exception, reports a failed group.
ERROR_FILE = "GAPO_LAB_REWARD_ERROR"


@labelled
def compute_score(data_source: str, solution_str: str, ground_truth: str, extra_info: dict | None = None, **_) -> dict:
    """`score` (Eq. 5), `em` and `similarity` of one answer.

    Where `extra_info["answer"]` is `region`, what stands between the answer's markers is compared (no such place: no
    match). Where `extra_info["raw"]` is true, `em_raw` is the match of the whole answers.
    """
    asked = extra_info or {}
    with reason_kept():
        compare = _score_region if asked.get("answer") == "region" else score
        found = compare(solution_str, ground_truth)
        if asked.get("raw"):
            found["em_raw"] = float(solution_str.strip() == ground_truth.strip())
        return found


@labelled
def compute_choice_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: dict | None = None, **_
) -> dict:
    """`score`, `em`, `item`, `choices` of one choice from a list, and `list`, which list it was."""
    with reason_kept():
        return {
            **score_choice(solution_str, ground_truth),
            "list": (extra_info or {}).get("id", ground_truth),
        }


@labelled
def compute_gsm8k_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: dict | None = None, method: str = "strict", **_
) -> dict:
    """`score` and `acc`: 1 where the last number behind `#### ` is the truth's; `answered`: whether there is one.

    method: `strict`, or `flexible`, which takes the last number of the answer. verl.utils.reward_score.gsm8k.
    """
    from verl.utils.reward_score import gsm8k

    with reason_kept():
        answer = gsm8k.extract_solution(solution_str, method)
        right = float(gsm8k.compute_score(solution_str, str(ground_truth).replace(",", "").strip(), method))
        return {"score": right, "acc": right, "answered": float(answer is not None)}


@labelled
def compute_math_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: dict | None = None, **_
) -> dict:
    r"""`score` and `acc`: 1 where what the last `\boxed{}` holds is the truth, written the same way after
    normalisation; `answered`: whether there is one. verl.utils.reward_score.math_reward."""
    from verl.utils.reward_score import math_reward

    with reason_kept():
        boxed = math_reward.last_boxed_only_string(solution_str)
        right = float(math_reward.compute_score(solution_str, str(ground_truth)))
        return {"score": right, "acc": right, "answered": float(boxed is not None)}


@labelled
async def compute_unit_tests_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: dict | None = None,
    *,
    parallel: int | None = None,
    partial: bool = False,
    isolation: str = "full",
    **limits: Any,
) -> dict:
    """`acc`: 1 where the answer's Python passes all tests of its row; `passed`: the share of tests; `stopped`: whether
    it was stopped for its time or its output; `score`: `acc`, or with `partial` the share.

    parallel: programs at a time, over all calls in this process.
    """
    with reason_kept():
        asked = (solution_str, ground_truth, Limits(**limits), isolation)
        found = await asyncio.get_running_loop().run_in_executor(_programs(parallel or cores()), unit_tests.run, *asked)
        acc = float(found.passed == found.of)
        return {
            "score": found.share if partial else acc,
            "acc": acc,
            "passed": found.share,
            "stopped": float(found.stopped),
        }


@cache
def _programs(parallel: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(parallel, thread_name_prefix="programs")


@contextmanager
def reason_kept() -> Iterator[None]:
    """Write an exception of the block where the job will find it, and let it go on."""
    try:
        yield
    except Exception:
        if path := os.environ.get(ERROR_FILE):
            Path(path).write_text(traceback.format_exc(), encoding="utf-8")
        raise


def _score_region(answer: str, truth: str) -> dict:
    region, right = between_markers(answer), between_markers(truth)
    if right is None:
        raise ValueError(f"a target needs one region between its markers: {truth:.100}")
    if region is None:
        found = score(answer, truth)
        return {**found, "em": 0.0, "score": found["similarity"] / 2}
    return score(region, right)
