"""The reward, against Eq. 5 with a plain dynamic programme."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapo_lab.rewards.edit_reward import score

TEXT = st.text(alphabet="ab \n\té🙂", max_size=12)


def distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


@given(TEXT, TEXT)
def test_equals_eq_5(prediction, truth):
    got = score(prediction, truth)
    a, b = prediction.strip(), truth.strip()
    similarity = 1 - distance(a, b) / max(len(a), len(b)) if a or b else 1.0
    assert got == {
        "score": pytest.approx(((a == b) + similarity) / 2),
        "em": float(a == b),
        "similarity": pytest.approx(similarity),
    }


@given(TEXT, TEXT)
def test_symmetric_bounded_and_one_only_for_a_match(a, b):
    got = score(a, b)
    assert got == score(b, a)
    assert all(type(v) is float and 0 <= v <= 1 for v in got.values())
    assert (got["score"] == 1) == (a.strip() == b.strip()) == (got["em"] == 1)


@pytest.mark.parametrize(
    ("prediction", "truth", "want"),
    [
        ("", "", (1, 1, 1)),
        (" \n", "", (1, 1, 1)),
        ("x = 1\n", "  x = 1", (1, 1, 1)),
        ("", "abcd", (0, 0, 0)),
        ("abcd", "abce", (0.375, 0, 0.75)),
        ("kitten", "sitting", ((1 - 3 / 7) / 2, 0, 1 - 3 / 7)),
    ],
)
def test_known(prediction, truth, want):
    got = score(prediction, truth)
    assert (got["score"], got["em"], got["similarity"]) == pytest.approx(want)


@pytest.mark.parametrize("pair", [(None, "a"), ("a", b"a"), (1, "a")])
def test_only_strings(pair):
    with pytest.raises(TypeError, match="reward: (prediction|truth) is (NoneType|bytes|int), not str"):
        score(*pair)
