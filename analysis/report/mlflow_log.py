"""Logs a report to the study's report run, so that MLflow's pages show it. Imports MLflow (seconds)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from analysis.sources import connect
from gapo_lab.errors import UserError
from gapo_lab.tracking import mlflow_client, study_page
from gapo_lab.tracking.study_page import IS_REPORT

DIGEST = "gapo.report"
FOLDERS = {
    "table": "tables",
    "stat": "tables",
    "comp": "tables",
    "agai": "tables",
    "slice": "tables",
    "noise": "tables",
    "tau": "tables",
    "rewards": "tables",
    "figu": "figures",
}


def log(uri: str, studies: Sequence[str], folder: Path, names: Sequence[str]) -> str:
    """Log the files to a new report run of each study that MLflow knows; one line that says where.

    A report with the same files as the study's newest one is not logged again, and an older report stays.
    """
    try:
        there = connect.connect(uri).studies()
    except UserError as error:
        return f"not logged to MLflow: {error}"
    experiments = {name: there[name] for name in studies if name in there}
    if not experiments:
        wanted = " ".join(studies)
        return (
            f"not logged to MLflow: no copy of {wanted} there yet. Make one with python -m gapo_lab sync {studies[0]}"
        )
    client = mlflow_client.connect(uri)
    mark, new = _digest(folder, names), 0
    for experiment in experiments.values():
        found = client.search_runs(
            [experiment],
            f"tags.`{IS_REPORT}` = 'yes'",
            order_by=["attributes.start_time DESC"],
            max_results=1,
        )
        if found and found[0].data.tags.get(DIGEST) == mark:
            study_page.set_up(client, experiment)
            continue
        tags = {IS_REPORT: "yes", "mlflow.source.name": "analysis.report"}
        run = client.create_run(experiment, run_name="report", tags=tags).info.run_id
        client.set_tag(run, study_page.NOTE, _note(experiment, run))
        for name in names:
            client.log_artifact(run, str(folder / name), _place(name))
        client.set_tag(run, DIGEST, mark)  # last: a report that was cut off is logged again
        client.set_terminated(run)
        if found:
            client.update_run(found[0].info.run_id, name="report (earlier)")
        study_page.set_up(client, experiment)
        new += 1
    where = ", ".join(experiments)
    return (
        f"logged to MLflow: run 'report' of {where}"
        if new
        else f"MLflow holds this report already: run 'report' of {where}"
    )


def _note(experiment: str, run: str) -> str:
    page, pdf = (study_page.artifact_of(experiment, run, name) for name in ("report.html", "report.pdf"))
    return f"[report.html]({page}), [report.pdf]({pdf}); tables and figures lie beside them under Artifacts."


def _digest(folder: Path, names: Sequence[str]) -> str:
    sha = hashlib.sha256()
    for name in sorted(names):
        sha.update(name.encode() + b"\0" + (folder / name).read_bytes())
    return sha.hexdigest()[:16]


def _place(name: str) -> str | None:
    return next((folder for start, folder in FOLDERS.items() if name.startswith(start)), None)
