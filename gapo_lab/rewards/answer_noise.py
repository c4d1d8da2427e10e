"""How much of a sampled mean is the luck of its answers: the part that more answers a task take away."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from numbers import Real
from statistics import variance
from typing import Any


def answer_noise(
    sources: Sequence[str], tasks: Sequence[str], columns: Mapping[str, Sequence[Any]]
) -> dict[str, float]:
    """Return the standard deviation that sampling gives each set's mean of each measure:
    `val/<set>/<measure>_answer_noise`.

    sources, tasks: (B,) each, the set and the task of every answer. columns: the reward's values by name, (B,) each.
    Of a task with K answers, two or more, the mean has variance s^2 / K; a set whose tasks have one answer each cannot
    tell and is left out, as is a column that is no number throughout.
    """
    rows: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, (source, task) in enumerate(zip(sources, tasks, strict=True)):
        rows[source][task].append(number)
    found = {}
    for source, answers in rows.items():
        if min(map(len, answers.values())) < 2:
            continue
        for measure, column in columns.items():
            values = [[column[i] for i in mine] for mine in answers.values()]
            if all(isinstance(one, Real) for mine in values for one in mine):
                spread = math.fsum(variance(map(float, mine)) / len(mine) for mine in values)
                found[f"val/{source}/{measure}_answer_noise"] = math.sqrt(spread) / len(values)
    return found
