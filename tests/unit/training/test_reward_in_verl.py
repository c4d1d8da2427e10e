"""Rewards as verl's own reward manager calls them: the user's, wrapped, and those that ship."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import pytest

from gapo_lab.config.compose import compose_run
from gapo_lab.data.user_rows.rows import LAB
from gapo_lab.errors import UserError
from gapo_lab.rewards import sandbox
from gapo_lab.training import user_reward
from gapo_lab.training.call_limit import TooLong

if TYPE_CHECKING:
    from verl.protocol import DataProto

pytestmark = pytest.mark.verl

FILES = {
    "shares.py": "HALF = 0.5\n",
    "mine.py": """
import asyncio
from shares import HALF

def number(data_source, solution_str, ground_truth, extra_info):
    return HALF * (solution_str == ground_truth)

def told(data_source, solution_str, ground_truth, extra_info):
    return {"score": 1, "source": data_source, "truth": str(ground_truth), "hint": extra_info["hint"]}

async def waits(data_source, solution_str, ground_truth, extra_info):
    await asyncio.sleep(0.3)
    return 1.0

async def hangs_async(data_source, solution_str, ground_truth, extra_info):
    await asyncio.sleep(99)
""",
}


class Words:
    """A tokenizer of whole answers: token n is the n-th."""

    def __init__(self, answers: list[str]):
        self.answers = answers

    def decode(self, ids, **_) -> str:
        return self.answers[int(ids[0])]


def scored(answers: list[str], truth, *words: str, row: str = "row 3 of id.jsonl") -> list[dict]:
    """What the reward manager says of each answer to one row, all asked at once."""
    from verl.trainer.ppo.reward import load_reward_manager

    given = ("data=parquet", "data.train=t.jsonl", "data.id=i.jsonl")
    config = compose_run([*given, *words])
    user_reward.wrap(config)
    manager = load_reward_manager(config, Words(answers))
    lab = {"row": row, "data_source": "my/set", "extra_info": '{"hint": "h"}', "truth": None}
    if not isinstance(truth, str):
        lab["truth"] = truth = json.dumps(truth)

    async def ask() -> list[dict]:
        manager.loop = asyncio.get_running_loop()
        return await asyncio.gather(*(manager.run_single(_item(n, truth, lab)) for n in range(len(answers))))

    # without what says which answer it was
    return [
        {name: value for name, value in found["reward_extra_info"].items() if name not in ("set", "greedy", "task")}
        for found in asyncio.run(ask())
    ]


def _item(number: int, truth: str, lab: dict) -> DataProto:
    import torch
    from tensordict import TensorDict
    from verl.protocol import DataProto

    from gapo_lab.training.cpu.rollout_manager import _object_array

    ids = {"prompts": torch.tensor([[0]]), "responses": torch.tensor([[number]])}
    batch = TensorDict({**ids, "attention_mask": torch.ones(1, 2, dtype=torch.long)}, [1])
    about = {"index": 0, "id": "id 0", LAB: lab}
    told = {"data_source": "id", "reward_model": {"ground_truth": truth}, "extra_info": about}
    return DataProto.from_dict(dict(batch.items()), {key: _object_array(value) for key, value in told.items()})


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)


def test_a_function_of_ones_own_is_told_what_the_row_says():
    assert scored(["a", "b"], "a", "reward=mine.py:number") == [
        {"score": 0.5, "acc": 0.5},
        {"score": 0.0, "acc": 0.0},
    ]
    (found,) = scored(["a"], {"tests": [1]}, "reward=mine.py:told")
    assert found == {"score": 1.0, "source": "my/set", "truth": "{'tests': [1]}", "hint": "h"}


def test_an_async_function_answers_several_at_a_time():
    began = time.monotonic()
    assert len(scored(["a"] * 50, "a", "reward=mine.py:waits")) == 50
    assert time.monotonic() - began < 50 * 0.3


def test_what_hangs_is_named_with_its_row():
    """An `async def`; for others see test_user_reward.py."""
    with pytest.raises(
        TooLong, match="reward=mine.py:hangs_async: has not answered on row 3 of id.jsonl for 0.2 seconds"
    ):
        scored(["a"], "a", "reward=mine.py:hangs_async", "reward.timeout=0.2")


def test_a_file_that_cannot_be_imported_is_named(tmp_path):
    (tmp_path / "bad.py").write_text("import no_such_module\ndef compute_score(**words):\n    return 1\n")
    with pytest.raises(UserError, match="reward=bad.py: cannot be loaded .*no_such_module"):
        scored(["a"], "a", "reward=bad.py")


def test_numbers_and_boxes():
    sums = scored(["so\n#### 1,072", "1072", "#### 7"], "1072", "reward=gsm8k")
    assert [(one["acc"], one["answered"]) for one in sums] == [(1, 1), (0, 0), (0, 1)]
    boxes = scored(["\\boxed{\\frac12}", "\\boxed{2}", "half"], "\\frac{1}{2}", "reward=math")
    assert [(one["acc"], one["answered"]) for one in boxes] == [(1, 1), (0, 1), (0, 0)]


def test_programs_run_in_the_sandbox_several_at_a_time():
    try:
        sandbox.check()
    except UserError as error:
        pytest.skip(str(error))
    good, half = "def f(x):\n    return x\n", "def f(x):\n    return 1\n"
    tests = ["assert f(1) == 1", "assert f(2) == 2"]
    found = scored([good, half, "import os; os._exit(0)"], tests, "reward=unit_tests", "reward.sandbox.seconds=30")
    assert [(one["score"], one["passed"]) for one in found] == [(1, 1), (0, 0.5), (0, 0)]
    (found,) = scored([half], tests, "reward=unit_tests", "reward.sandbox.partial=true", "reward.sandbox.seconds=30")
    assert (found["score"], found["acc"]) == (0.5, 0)
