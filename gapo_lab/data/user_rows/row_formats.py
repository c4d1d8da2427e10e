"""Known data sets as rows in verl's format: what their rows look like, what is asked, and what the truth is.

A recipe makes one row of one raw row. Where the data are, and how they are fetched, is in `importing.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Raw = Mapping[str, Any]
Row = dict[str, Any]


class Unusable(Exception):
    """A raw row that cannot become a task, and why; it is left out and counted."""


@dataclass(frozen=True)
class Recipe:
    """One data set: its Hugging Face id, the folder there that holds it, its reward, and what makes a row of a raw one.

    folder: of several configurations in one repository; '' where there is one.
    """

    hub: str
    folder: str
    reward: str
    make: Callable[[Raw], Row]


def row(source: str, ability: str, question: str, truth: Any, **more: Any) -> Row:
    """One row in verl's format; `more` goes to `extra_info`."""
    return {
        "data_source": source,
        "prompt": [{"role": "user", "content": question}],
        "ability": ability,
        "reward_model": {"style": "rule", "ground_truth": truth},
        "extra_info": more,
    }


def text(raw: Raw, *names: str) -> str:
    """The first of these fields that is a text. Raises Unusable where none is."""
    for name in names:
        if isinstance(value := raw.get(name), str) and value.strip():
            return value
    raise Unusable(f"no {' or '.join(names)}")


def gsm8k(raw: Raw) -> Row:
    """Grade-school sums: `question`, and `answer`, which ends in `#### 72`."""
    question, answer = text(raw, "question"), text(raw, "answer")
    found = re.search(r"####\s*(-?[\d.,]+)", answer)
    if not found:
        raise Unusable("no #### in the answer")
    asked = f'{question} Let\'s think step by step and output the final answer after "####".'
    return row("openai/gsm8k", "math", asked, found[1].replace(",", "").rstrip("."), answer=answer)


def math(raw: Raw) -> Row:
    r"""Competition mathematics: `problem`, and the `answer`, or a `solution` with the answer in its last `\boxed{}`."""
    problem = text(raw, "problem", "question")
    truth = raw["answer"] if isinstance(raw.get("answer"), str) and raw["answer"].strip() else None
    if truth is None:
        truth = last_boxed(text(raw, "solution"))
    asked = f"{problem} Let's think step by step and output the final answer within \\boxed{{}}."
    kept = {name: str(raw[name]) for name in ("level", "type", "subject") if raw.get(name) is not None}
    return row("DigitalLearningGmbH/MATH-lighteval", "math", asked, truth, **kept)


def last_boxed(solution: str) -> str:
    r"""What the last `\boxed{...}` holds, braces inside it included. Raises Unusable where there is none."""
    start = solution.rfind("\\boxed{")
    depth = 0
    for place in range(start + len("\\boxed"), len(solution)) if start >= 0 else ():
        depth += {"{": 1, "}": -1}.get(solution[place], 0)
        if depth == 0:
            return solution[start + len("\\boxed{") : place]
    raise Unusable("no \\boxed{} in the solution")


def humaneval(raw: Raw) -> Row:
    """Python functions to complete: `prompt`, `entry_point` and `test`, which defines `check(candidate)`."""
    start, entry, test = text(raw, "prompt"), text(raw, "entry_point"), text(raw, "test")
    asked = (
        "Complete this Python function. Answer with the whole function in one block of code.\n\n"
        f"```python\n{start.rstrip()}\n```"
    )
    # the imports and helpers of the prompt; the function itself is there without a body until the answer defines it
    truth = {"setup": start, "tests": [f"{test}\n\ncheck({entry})\n"]}
    return row("openai/openai_humaneval", "code", asked, truth, task=str(raw.get("task_id", "")))


def mbpp(raw: Raw) -> Row:
    """Python functions to write: `text` (or `prompt`), `test_list`, and what the tests need first."""
    question, tests = text(raw, "text", "prompt"), raw.get("test_list")
    if not isinstance(tests, list) or not tests:
        raise Unusable("no test_list")
    asked = (
        f"{question} Answer with Python in one block of code. It must pass these tests:\n\n"
        "```python\n" + "\n".join(tests) + "\n```"
    )
    imports = raw.get("test_imports")
    setup = "\n".join(imports) if isinstance(imports, list) else str(raw.get("test_setup_code") or "")
    truth = {"setup": setup, "tests": tests}
    return row("google-research-datasets/mbpp", "code", asked, truth, task=str(raw.get("task_id", "")))


RECIPES = {
    "gsm8k": Recipe("openai/gsm8k", "main", "gsm8k", gsm8k),
    "math": Recipe("DigitalLearningGmbH/MATH-lighteval", "", "math", math),
    "humaneval": Recipe("openai/openai_humaneval", "", "unit_tests", humaneval),
    "mbpp": Recipe("google-research-datasets/mbpp", "full", "unit_tests", mbpp),
}
