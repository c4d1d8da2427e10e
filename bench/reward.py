"""The reward against the classical dynamic programme, on code-like texts of about 300 characters."""

from __future__ import annotations

import random

from bench.measurement import Row, side_by_side

PAIRS, CHARS = 8, 300


def reward_against_dynamic_programme() -> list[Row]:
    """`gapo_lab.reward.score` against the plain Python and the numpy dynamic programme; seconds per pair."""
    from gapo_lab.rewards.edit_reward import score

    pairs = _pairs()

    def over_pairs(distance):
        return lambda: [distance(a, b) for a, b in pairs]

    rows = []
    for name, theirs, target in (("Python", python_distance, 1 / 1000), ("numpy", numpy_distance, 1 / 100)):
        seconds = side_by_side(over_pairs(score), over_pairs(theirs), repeats=5)
        ours, other = (total / PAIRS for total in seconds)
        rows.append(Row(f"reward / dynamic programme in {name}, {CHARS} characters", ours, other, target))
    return rows


def python_distance(a: str, b: str) -> int:
    """Levenshtein, the whole table in lists, as in the authors' code."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    table[0] = list(range(len(b) + 1))
    for i in range(1, len(a) + 1):
        table[i][0] = i
        for j in range(1, len(b) + 1):
            differs = a[i - 1] != b[j - 1]
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + differs)
    return table[-1][-1]


def numpy_distance(a: str, b: str) -> int:
    """Levenshtein, a row at a time; the insertions along a row are a running minimum."""
    import numpy as np

    x, y = (np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32) for text in (a, b))
    steps = np.arange(len(y) + 1)
    row = steps.copy()
    for i, char in enumerate(x, 1):
        new = np.empty_like(row)
        new[0] = i
        new[1:] = np.minimum(row[1:] + 1, row[:-1] + (y != char))
        row = np.minimum.accumulate(new - steps) + steps
    return int(row[-1])


def _pairs() -> list[tuple[str, str]]:
    """Texts and the same with some characters changed, as a model's nearly right answers are."""
    pick = random.Random(0)
    letters = "etaoinshrdlu_().:=  \n"
    pairs = []
    for _ in range(PAIRS):
        text = [pick.choice(letters) for _ in range(CHARS)]
        other = [pick.choice(letters) if pick.random() < 0.15 else char for char in text]
        pairs.append(("x" + "".join(text) + "x", "x" + "".join(other) + "x"))
    return pairs
