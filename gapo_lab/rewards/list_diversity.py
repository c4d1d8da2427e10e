"""How evenly the answers to a list fall on its items: the measures of group-aware GAPO (arXiv 2511.12596)."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import MutableMapping, Sequence
from statistics import fmean


def jsd_to_uniform(counts: Sequence[int]) -> float:
    """Jensen-Shannon divergence in bits, in [0, 1], of `counts` over a list's items to the uniform distribution.

    Without any count it is 1, the largest value. A perfectly uniform sampler has a little more than 0, because
    n samples do not fall evenly: about (L - 1) / (8 n ln 2) for L items.
    """
    total = sum(counts)
    if total == 0:
        return 1.0
    even = 1 / len(counts)
    bits = 0.0
    for count in counts:
        p = count / total
        middle = (p + even) / 2
        bits += (p * math.log2(p / middle) if p else 0.0) + even * math.log2(even / middle)
    return max(bits / 2, 0.0)


def diversity(items: Sequence[int], choices: int) -> dict[str, float]:
    """`jsd`, `unique` (different valid items) and `invalid` (share) of the answers to one list.

    items: each answer's place in the list of `choices` items, below 0 for an invalid answer.
    """
    counts = Counter(item for item in items if item >= 0)
    return {
        "jsd": jsd_to_uniform([counts[item] for item in range(choices)]),
        "unique": float(len(counts)),
        "invalid": sum(item < 0 for item in items) / len(items),
    }


def pop_diversity(sources: Sequence[str], infos: MutableMapping[str, list]) -> dict[str, float]:
    """Take `item`, `choices` and `list` out of a validation's columns; their measures, a mean over lists.

    sources: each row's data set. Returns {"val/<set>/jsd": ...} and so on; nothing where there are no lists.
    """
    if "item" not in infos:
        return {}
    items, choices, lists = (infos.pop(name) for name in ("item", "choices", "list"))
    answers = defaultdict(list)
    for source, name, size, item in zip(sources, lists, choices, items, strict=True):
        answers[source, name, int(size)].append(int(item))
    measured = defaultdict(list)
    for (source, _, size), chosen in answers.items():
        for name, value in diversity(chosen, size).items():
            measured[f"val/{source}/{name}"].append(value)
    return {name: fmean(values) for name, values in measured.items()}
