"""What code runs were made with: commits, or the package that it was installed from. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from analysis.results.runs import Run


def code(runs: Iterable[Run]) -> dict[str, list[str]]:
    """Return what ran: the `commits` of runs, and the `package` of those that had none."""
    runs = list(runs)
    found = {"commits": {run.commit for run in runs}, "package": {run.package for run in runs}}
    known = {kind: sorted(names - {""}) for kind, names in found.items() if names - {""}}
    return known or {"commits": ["unknown"]}
