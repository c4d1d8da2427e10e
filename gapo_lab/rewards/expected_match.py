"""P(exact match) from the log-likelihoods of the truths: what sampled exact match estimates, without its noise.

P is exact up to other ways of writing the same answer: other tokens with the same text, and white space around it, are
not counted. So it is a lower bound, close where a model writes a text in one way (docs/analysis.md has the bound).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

# Temperature -> what a metric's name has behind it.
TEMPERATURES = {1.0: "", 0.5: "_t50"}


def metrics(log_likelihoods: Mapping[float, Sequence[float]]) -> dict[str, float]:
    """Return the means over one test set; `log_likelihoods`: temperature -> log P(truth and end) of each task.

    `em_expected` and `em_expected_t50` are means of P, `em_loglik` the mean of log P at T=1, and `em_answer_noise` the
    standard deviation that one sampled answer a task gives the sampled exact match: sqrt(mean of P (1 - P) / tasks).
    Raises ValueError for a set without tasks.
    """
    found = {}
    for temperature, logs in log_likelihoods.items():
        if not logs:
            raise ValueError("a test set needs at least one task")
        likely = [math.exp(log) for log in logs]
        found[f"em_expected{TEMPERATURES[temperature]}"] = math.fsum(likely) / len(likely)
        if temperature == 1.0:
            found["em_loglik"] = math.fsum(logs) / len(logs)
            found["em_answer_noise"] = math.sqrt(math.fsum(p * (1 - p) for p in likely)) / len(likely)
    return found


def by_set(sources: Sequence[str], log_likelihoods: Mapping[float, Sequence[float]]) -> dict[str, float]:
    """`metrics` of each test set as `val/<set>/<name>`; `sources` names the set of each task."""
    places: dict[str, list[int]] = {}
    for number, source in enumerate(sources):
        places.setdefault(source, []).append(number)
    return {
        f"val/{source}/{name}": value
        for source, mine in places.items()
        for name, value in metrics({t: [logs[i] for i in mine] for t, logs in log_likelihoods.items()}).items()
    }
