"""Whether a run's reward can be called, as far as its file says: nothing of it is run."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator
from pathlib import Path

from gapo_lab.config.view import ConfigView
from gapo_lab.paths import SHIPPED_MODULE
from gapo_lab.planning import reward_returns, user_files
from gapo_lab.utils import python_source
from gapo_lab.utils.key_names import nearest
from gapo_lab.utils.value_rules import Rule, problem

# What verl calls a reward with.
ARGUMENTS = ("data_source", "solution_str", "ground_truth", "extra_info")
# The settings of reward=unit_tests.
SANDBOX: dict[str, Rule] = {
    "isolation": ("full", "none"),
    "partial": (False, True),
    "seconds": "(0, inf)",
    "memory_mb": "[64, inf)",
    "processes": "[1, inf)",
    "output_kb": "[1, inf)",
    "disk_mb": "[1, inf)",
    "parallel": "[1, inf)",
}
WHOLE = ("memory_mb", "processes", "output_kb", "disk_mb", "parallel")
# `reward.timeout` where nobody gives one (conf/common.yaml).
USUAL_SECONDS = 60
SHIPPED = ("edit", "gsm8k", "math", "unit_tests")
# Our own reward functions -> the numbers that each returns.
RETURNS = {
    "compute_score": ("em", "similarity", "score"),
    "compute_choice_score": ("em", "item", "choices", "score"),
    "compute_gsm8k_score": ("acc", "answered", "score"),
    "compute_math_score": ("acc", "answered", "score"),
    "compute_unit_tests_score": ("acc", "passed", "stopped", "score"),
}


def returned(config: ConfigView) -> tuple[str, ...] | None:
    """Return the numbers that the run's reward returns; None where the text of a user's function does not say."""
    asked = config.reward.custom_reward_function
    if str(asked.path).startswith(SHIPPED_MODULE):
        return RETURNS.get(str(asked.name))
    try:
        file = python_source.source(str(asked.path)) if asked.path else None
        return reward_returns.returned(file.read_text(encoding="utf-8"), str(asked.name)) if file else None
    except (OSError, SyntaxError, ValueError):
        return None  # told by `check_reward`


def check_reward(config: ConfigView) -> Iterator[str]:
    """Yield a line where there is no reward, its settings are wrong, or its function cannot be called by verl."""
    asked, called = config.reward.custom_reward_function, config.reward.name
    if not asked.get("path"):
        if config.data.name == "parquet":
            yield (
                "data=parquet: its rows do not say how an answer is scored. Give reward=FILE.py:function, or one of "
                f"reward={', '.join(SHIPPED)}."
            )
        return
    yield from _measures(config, called)
    seconds = config.reward.timeout
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds <= 0:
        yield f"reward.timeout={seconds}: must be a number of seconds above 0"
    elif str(asked.path).startswith(SHIPPED_MODULE) and seconds != USUAL_SECONDS:
        yield f"reward.timeout={seconds}: is of rewards of your own; reward={called} ships. Leave it out"
    if "sandbox" in config.reward:
        yield from _sandbox(config.reward.sandbox)
    yield from _function(asked, called)


def _measures(config: ConfigView, called: str) -> Iterator[str]:
    """Check that the reward returns what a study is about."""
    metric, there = config.get("metric"), returned(config)
    if there is not None and "score" not in there:
        shown = ", ".join(there) or "no number"
        yield f"reward={called}: returns {shown}, and the reward itself must be called score. Add score to the dict."
        there = (*there, "score")
    if metric is not None and there and metric not in (*there, "reward"):
        yield (
            f"metric={metric}: reward={called} does not return it. It returns {', '.join(there)}. "
            f"Write metric={(nearest(str(metric), there) or there)[0]}."
        )


def _sandbox(asked: ConfigView) -> Iterator[str]:
    for key, rule in SANDBOX.items():
        value = asked.get(key)
        if not (key == "parallel" and value is None) and (wrong := problem(value, rule)):
            yield f"reward.sandbox.{key}={value}: {wrong}"
        elif key in WHOLE and value is not None and not isinstance(value, int):
            yield f"reward.sandbox.{key}={value}: must be a whole number"


def _function(asked: ConfigView, called: str) -> Iterator[str]:
    """Check the user's function, in its file or in its module."""
    address = str(asked.path)
    path = Path(address.removeprefix("file://")).expanduser()
    if path.suffix == ".py":
        yield from _file(path, asked, f"reward={called}" if str(path) in str(called) else f"reward={path}", str(path))
    elif (
        address.startswith("pkg://")
        and not address.startswith(SHIPPED_MODULE)
        and (file := python_source.source(address))
    ):
        module = address.removeprefix("pkg://")
        yield from _file(file, asked, f"reward={module}:{asked.name}", module)


def _file(path: Path, asked: ConfigView, said: str, word: str) -> Iterator[str]:
    """Check the function of a file, which is called ``word`` in `reward=`."""
    name = str(asked.name)
    if not path.is_file():
        yield f"{said}: no such file"
        return
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        yield f"{said}{where}: is not Python ({error})"
        return
    functions = {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    if name in functions:
        yield from _arguments(functions[name], said, asked.get("reward_kwargs") or ())
    elif not {name, "*"} & user_files.assigned(tree):
        close = (nearest(name, functions) or sorted(functions) or ["FUNCTION"])[0]
        yield f"{said}: no function {name} in it. Write reward={word}:{close}"


def _arguments(function: ast.FunctionDef | ast.AsyncFunctionDef, said: str, given: Container[str]) -> Iterator[str]:
    taken = function.args
    names = {argument.arg for argument in (*taken.args, *taken.kwonlyargs)}
    if lacking := [name for name in ARGUMENTS if name not in names and taken.kwarg is None]:
        yield (
            f"{said}: {function.name}() does not take {', '.join(lacking)}. verl calls it with "
            f"{', '.join(f'{name}=' for name in ARGUMENTS)}."
        )
    needed = taken.args[: len(taken.args) - len(taken.defaults)]
    needed += [word for word, value in zip(taken.kwonlyargs, taken.kw_defaults, strict=True) if value is None]
    if more := [word.arg for word in needed if word.arg not in ARGUMENTS and word.arg not in given]:
        yield (
            f"{said}: {function.name}() needs {', '.join(more)}, which verl does not give. Give it a default value, or "
            f"+reward.custom_reward_function.reward_kwargs.{more[0]}=VALUE"
        )
