"""How much of a sample a test looks at: all of it in CI, a quarter where the slow tests are left out.

The profile that conftest.py loads into Hypothesis says which. It stands before a file of tests is imported.
"""

from __future__ import annotations

from hypothesis import settings

# What Hypothesis tries by itself, and what it tries where the slow tests are left out.
ALL, QUICK = 100, 25


def some(number: int) -> int:
    """So many of a sample, or a quarter of them."""
    return max(5, number * settings.default.max_examples // ALL)


def examples(number: int, **more: int) -> settings:
    """So many examples of a property, or a quarter of them."""
    return settings(max_examples=some(number), **more)
