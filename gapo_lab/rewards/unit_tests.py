"""Score a program by the tests of its row: the answer's Python is run in the sandbox, for each row in its own.

A row's truth is one of: Python that asserts (HumanEval); a list of such (MBPP); {"setup": PYTHON, "tests": [...]};
{"inputs": [...], "outputs": [...]}, what a program reads and what it must print; the same with "fn_name": a function,
whose arguments and result are JSON. Or the JSON text of one of these.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from importlib import resources
from typing import Any

from gapo_lab.rewards import sandbox
from gapo_lab.rewards.sandbox import FULL, Limits

_BLOCK = re.compile(r"```[ \t]*(?P<language>[\w+-]*)[^\n]*\n(?P<code>.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)
PYTHON = ("python", "py", "python3", "")
HARNESS = "harness.py"


@dataclass(frozen=True)
class Tests:
    """The tests of a row: statements that assert, or inputs with the outputs that a program must give."""

    statements: tuple[str, ...] = ()
    setup: str = ""
    pairs: tuple[tuple[str, str], ...] = ()

    @property
    def number(self) -> int:
        return len(self.statements) or len(self.pairs)


@dataclass(frozen=True)
class Result:
    """How many of its tests an answer passed, and whether it ran over its time or its output."""

    passed: int
    of: int
    stopped: bool

    @property
    def share(self) -> float:
        return self.passed / self.of


def code_of(answer: str) -> str:
    """Return the last block of Python of an answer; the whole of it where it has no block."""
    found = [match["code"] for match in _BLOCK.finditer(answer) if match["language"].lower() in PYTHON]
    return found[-1] if found else answer


def tests_of(truth: Any) -> Tests:
    """The tests that a row's truth holds. ValueError where there is none."""
    if isinstance(truth, str):
        if (parsed := _json(truth)) is None:
            return Tests((truth,)) if truth.strip() else _none(truth)
        truth = parsed
    if isinstance(truth, (list, tuple)) and truth and all(isinstance(one, str) for one in truth):
        return Tests(tuple(truth))
    if isinstance(truth, dict):
        if tests := truth.get("tests"):
            return Tests(tuple([tests] if isinstance(tests, str) else tests), str(truth.get("setup") or ""))
        inputs, outputs = truth.get("inputs"), truth.get("outputs")
        if inputs and outputs and len(inputs) == len(outputs):
            if name := truth.get("fn_name"):
                return Tests(tuple(_call(name, *pair) for pair in zip(inputs, outputs, strict=True)))
            return Tests(pairs=tuple((_lines(a), _lines(b)) for a, b in zip(inputs, outputs, strict=True)))
    return _none(truth)


def _none(truth: Any) -> Tests:
    raise ValueError(
        f"reward=unit_tests: {truth!r:.100} holds no tests. Give Python that asserts, or inputs and outputs"
    )


def _json(text: str) -> Any:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, (list, dict)) else None


def _call(name: str, arguments: Any, wanted: Any) -> str:
    """Return a statement that calls a function with arguments and compares its result, all as JSON."""
    if isinstance(arguments, str):
        arguments = [json.loads(line) for line in arguments.splitlines() if line.strip()]
    if isinstance(wanted, str) and (parsed := _parsed(wanted)) is not None:
        wanted = parsed
    return (
        "import json as _json\n"
        f"_said = {name}(*_json.loads({json.dumps(arguments)!r}))\n"
        f"assert _json.loads(_json.dumps(_said)) == _json.loads({json.dumps(wanted)!r}), _said"
    )


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _lines(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def run(answer: str, truth: Any, limits: Limits, isolation: str = FULL) -> Result:
    """Run an answer against the tests of its row. UserError where programs cannot be shut in on this machine."""
    tests, code = tests_of(truth), code_of(answer)
    if tests.pairs:
        return _by_output(code, tests, limits, isolation)
    mark = secrets.token_hex(16)
    asked = {"setup": tests.setup, "answer": code, "tests": tests.statements}
    files = {HARNESS: _harness(), "tests.json": json.dumps(asked)}
    found = sandbox.run(files, (HARNESS,), limits, f"{mark}\n", isolation)
    passed = {line for line in found.output.splitlines() if line.startswith(f"{mark} ")} - {f"{mark} answer"}
    return Result(len(passed), tests.number, bool(found.ended_for))


def _by_output(code: str, tests: Tests, limits: Limits, isolation: str) -> Result:
    """Run a program once for each input, until one runs out of time; trailing white space of lines does not count."""
    passed, stopped = 0, False
    for given, wanted in tests.pairs:
        found = sandbox.run({"answer.py": code}, ("answer.py",), limits, given, isolation)
        passed += found.code == 0 and not found.ended_for and _trimmed(found.output) == _trimmed(wanted)
        if found.ended_for == "time":
            stopped = True
            break
    return Result(passed, tests.number, stopped)


def _trimmed(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _harness() -> str:
    return resources.files(__package__).joinpath("sandbox_harness.py").read_text(encoding="utf-8")
