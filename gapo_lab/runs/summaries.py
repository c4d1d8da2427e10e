"""The summary of a finished run, made anew where another main measure is asked for: it is a view of the metrics."""

from __future__ import annotations

from gapo_lab.runs import measures, metrics
from gapo_lab.runs.folder import RunFolder


def be_about(folder: RunFolder, metric: str | None) -> None:
    """Make the summary of a finished run about ``metric``; None leaves it as it is.

    UserError where the run did not measure it.
    """
    if metric is None or not folder.is_finished:
        return
    before = folder.summary() or {}
    if measures.of_summary(before) in (metric, None):
        return
    about = {name: value for name, value in before.items() if measures.is_of_a_set(name)}
    others = {name: value for name, value in before.items() if name not in about}
    folder.write_summary({**metrics.summary(folder.merged_metrics(), metric), **others})
