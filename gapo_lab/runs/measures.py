"""What a run is about: one of the numbers that its reward returns, measured on each test set. Pure.

`metric=` names it; without that it is the first of `USUAL` that is measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from gapo_lab.errors import UserError
from gapo_lab.utils.key_names import nearest
from gapo_lab.utils.text import percent

# Exact match; and what is expected of it, which is measured beside it, not instead.
EXACT_MATCH, EXPECTED = "em", "em_expected"
# Exact match; verl's word for accuracy; the reward as the function returned it, and as verl has it.
USUAL = (EXACT_MATCH, "acc", "score", "reward")
# Sets that come first in tables, and what they are called there; others are called as they are.
SETS = {"id": "ID", "dev": "dev", "ood": "OOD"}
# Measures that are shares of answers, shown in percent.
SHARES = (EXACT_MATCH, "acc", "similarity", EXPECTED, "em_expected_t50", "acc_expected")
GREEDY, DEV = "_greedy", "dev"
# In a summary, the step of a best value.
STEPS = ("step", f"step{GREEDY}")
# The runs of a root have the same names of metrics, and few kinds of them: what these mean is found once for each kind.
KINDS = 1024

_MEASURED = re.compile(r"val/(?P<set>[^/]+)/(?P<measure>.+)")
_BEST = re.compile(r"(?:first|final|best)/(?P<set>[^/]+)/(?P<measure>.+)")


def measures(names: Iterable[str]) -> dict[str, list[str]]:
    """Return what is measured on each test set, by the names of a run's metrics; sets and measures in the order of
    tables."""
    return {where: list(found) for where, found in _measures(tuple(names)).items()}


@lru_cache(maxsize=KINDS)
def _measures(names: tuple[str, ...]) -> Mapping[str, Sequence[str]]:
    found: dict[str, set[str]] = {}
    for name in names:
        if match := _MEASURED.fullmatch(name):
            found.setdefault(match["set"], set()).add(match["measure"].removesuffix(GREEDY))
    return {name: sorted(found[name]) for name in sorted(found, key=_place)}


def in_order(sets: Iterable[str]) -> list[str]:
    """Test sets in the order of tables, each once."""
    return sorted(set(sets), key=_place)


def _place(name: str) -> tuple[int, str]:
    order = list(SETS)
    return (order.index(name) if name in order else len(order), name)


def main_measure(names: Iterable[str], asked: str | None = None) -> str | None:
    """Return the measure that a run is about, `em`, from the names of its metrics; None where nothing was measured.

    Raises UserError where the one that was asked for is not measured.
    """
    there = {measure for found in measures(names).values() for measure in found}
    if asked and there and asked not in there:
        raise UserError(unmeasured(asked, there))
    return asked or next((measure for measure in USUAL if measure in there), None)


def expected(name: str) -> str:
    """Return what stands in for a measure or a metric wherever it was measured, too: `em_expected` for `em`,
    `val/id/em_expected` for `val/id/em`; for any other the name itself."""
    where, slash, measure = name.rpartition("/")
    return f"{where}{slash}{EXPECTED}" if measure == EXACT_MATCH else name


def metrics_of(summaries: Iterable[str]) -> list[str]:
    """Return the metrics of the main measure on each test set, `val/id/em`, from the names of summaries: `best/id/em`.

    Of several measures the other than exact match is the main measure: it was asked for. The dev set is no test set.
    """
    found = {(match["set"], match["measure"]) for name in summaries if (match := _of_set(name))}
    asked = {measure for _, measure in found if not measure.endswith(GREEDY)} - {EXACT_MATCH, EXPECTED}
    about = min(asked, default=EXACT_MATCH)
    return [f"val/{where}/{about}" for where in in_order(where for where, one in found if one == about) if where != DEV]


def check_returned(asked: str | None, found: Mapping[str, Sequence[object]]) -> None:
    """Raise UserError where the number that a run is about is not among what its reward has returned, by name."""
    numbers = {name for name, values in found.items() if any(isinstance(one, (int, float)) for one in values)}
    if asked and asked not in numbers:
        raise UserError(unmeasured(asked, numbers))


def unmeasured(asked: str, there: Iterable[str]) -> str:
    found = sorted(there)
    usual = [one for one in USUAL if one in found]
    meant = (nearest(asked, found) or usual or found)[0]
    return f"metric={asked}: the reward does not return it. It returns {', '.join(found)}. Write metric={meant}."


def of_summary(summary: Mapping[str, object]) -> str | None:
    """Return the measure that a summary is about: the one that stands first in it."""
    return _kind(tuple(summary)).about


class _Kind(NamedTuple):
    """What the names in a summary say: `of_summary`, `sets_of`, and the name of the best value on each of these."""

    about: str | None
    sets: Sequence[str]
    best: Mapping[str, str]


@lru_cache(maxsize=KINDS)
def _kind(names: tuple[str, ...]) -> _Kind:
    found = [match for name in names if (match := _of_set(name))]
    about = found[0]["measure"].removesuffix(GREEDY) if found else None
    sets = sorted({match["set"] for match in found}, key=_place)
    best = {where: f"best/{where}/{about}" for where in sets}
    return _Kind(about, sets, {where: name for where, name in best.items() if name in names})


def best(summary: Mapping[str, Any], where: str = "id") -> float | None:
    """Return the best value of what a run is about, on one of its test sets; None where it was not measured."""
    return summary.get(f"best/{where}/{of_summary(summary)}")


def best_of_each(summary: Mapping[str, float]) -> dict[str, float]:
    """Return the best value of what a run is about, on each of its test sets where it was measured."""
    return {where: summary[name] for where, name in _kind(tuple(summary)).best.items()}


def sets_of(summary: Mapping[str, object]) -> list[str]:
    """Return the test sets of a summary, in the order of tables."""
    return list(_kind(tuple(summary)).sets)


def is_of_a_set(name: str) -> bool:
    """Whether a name in a summary is of a test set: `best/id/em`, `best/id/step`; not `final/step`."""
    match = _BEST.fullmatch(name)
    return match is not None and match["set"] != "train"


def _of_set(name: str) -> re.Match[str] | None:
    match = _BEST.fullmatch(name)
    return match if match and match["set"] != "train" and match["measure"] not in STEPS else None


def measured_in(summary: Mapping[str, object]) -> list[str]:
    """Return what a summary has a last value of: `id/em`, `id/em_greedy`, `ood/em`; the main measure first, set by
    set."""
    found = [name.removeprefix("final/") for name in summary if name.startswith("final/") and _of_set(name)]
    about = of_summary(summary)

    def place(name: str) -> tuple:
        where, measure = name.split("/", 1)
        plain = measure.removesuffix(GREEDY)
        return (plain != about, plain, _place(where), measure)

    return sorted(found, key=place)


def shown(measure: str, value: float) -> str:
    """Return a value as a person reads it: a share in percent, anything else with three decimals."""
    return percent(value) if is_share(measure) else f"{value:.3f}"


def set_label(name: str) -> str:
    """Return a test set as a table calls it: `ID`, `OOD`, `dev`, `aime`."""
    return SETS.get(name, name)


def is_share(measure: str) -> bool:
    """Whether a measure is a share of answers, shown in percent."""
    return measure.removesuffix(GREEDY) in SHARES
