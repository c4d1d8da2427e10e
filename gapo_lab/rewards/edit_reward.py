"""The reward of a code edit: exact match and edit distance (paper, Eq. 5)."""

from __future__ import annotations

from rapidfuzz.distance import Levenshtein


def score(prediction: str, truth: str) -> dict[str, float]:
    """Reward of `prediction` against `truth`, both stripped of surrounding white space first.

    Returns `em`, 1.0 for an exact match and else 0.0; `similarity` = 1 - ed / max(len), in [0, 1], with ed
    the Levenshtein distance in characters at unit costs; and `score` = (em + similarity) / 2, Eq. 5.
    Two empty strings score 1. Raises TypeError for anything but strings.
    """
    for name, value in (("prediction", prediction), ("truth", truth)):
        if not isinstance(value, str):
            raise TypeError(f"reward: {name} is {type(value).__name__}, not str")
    a, b = prediction.strip(), truth.strip()
    em = float(a == b)
    similarity = 1.0 if a == b else 1.0 - Levenshtein.distance(a, b) / max(len(a), len(b))
    return {"score": (em + similarity) / 2, "em": em, "similarity": similarity}
