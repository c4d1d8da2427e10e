"""What a setting may be, as plain data: a plan checks it without importing torch. A rule is one of

    a tuple           the values allowed, e.g. ("median", "mean")
    an interval       "(0, 1]", "[0, inf)": a finite number in it
    "whole [1, inf)"  a whole number in it
    "names"           a list of different words, not empty
    "numbers"         a list of finite numbers, not empty
    a rule + " or null"

Each file of gapo_lab/methods/ holds a literal `SETTINGS = {name: rule}`, which gapo_lab.method_registry reads. The
method checks its arguments against them and so does a plan, with the same words. Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

Rule = tuple | str
WHOLE, OR_NULL = "whole ", " or null"


def check_settings(rules: Mapping[str, Any], **values: object) -> None:
    """Raise ValueError, one line naming the setting, for the first value outside its rule."""
    for name, value in values.items():
        if wrong := problem(value, rules[name]):
            raise ValueError(f"{name}={value!r}: {wrong}")


def problem(value: object, rule: Rule) -> str | None:
    """Return what is wrong with a value, in words that follow its name; None when it is allowed."""
    if isinstance(rule, tuple):
        allowed = any(type(value) is type(option) and value == option for option in rule)
        return None if allowed else f"must be one of {', '.join(map(str, rule))}"
    if rule in ("names", "numbers"):
        items = list(value) if isinstance(value, (list, tuple)) else []
        fits = _is_number if rule == "numbers" else lambda item: isinstance(item, str)
        if not items or not all(map(fits, items)) or (rule == "names" and len(set(items)) < len(items)):
            return f"must be a list of {'different names' if rule == 'names' else 'numbers'}"
        return None
    if rule.endswith(OR_NULL):
        wrong = None if value is None else problem(value, rule.removesuffix(OR_NULL))
        return wrong and f"{wrong}, or null"
    if rule.startswith(WHOLE):
        interval = rule.removeprefix(WHOLE)
        is_whole = isinstance(value, int) and _is_number(value) and _inside(value, interval)
        low, high = (end.strip() for end in interval[1:-1].split(","))
        return None if is_whole else f"must be a whole number from {low} {'on' if high == 'inf' else f'to {high}'}"
    return None if _is_number(value) and _inside(value, rule) else f"must be a number in {rule}"


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _inside(value: float, interval: str) -> bool:
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = value >= low if interval[0] == "[" else value > low
    return above and (value <= high if interval[-1] == "]" else value < high)
