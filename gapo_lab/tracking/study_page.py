"""How a study looks in MLflow's pages: its views, and what its description says.

MLflow keeps columns and charts in each person's browser. A view that is kept in a tag of the experiment is
everyone's: it is in the list Views of the study's page, and a link opens it. Two are made: the list of cells and
runs, and the curves as means over seeds, which begin with accuracy and training. The charts of a page without a
view, and of a single run, are in MLflow's own order, by the alphabet, which nothing in a metric or tag can change.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gapo_lab.tracking import mapping, study_metrics

if TYPE_CHECKING:
    from mlflow import MlflowClient

LIST, CURVES = "gapo", "gapocurves"
SHARED = "mlflow.sharedViewState."
NOTE, KIND = "mlflow.note.content", "mlflow.experimentKind"
OURS = "mlflow.gapo.note"  # a digest of the description as it was written here: a person's own stays
IS_REPORT = "gapo.is_report"
MEASURED = "mlflow.gapo.measured"  # what the runs are about (study_metrics.py)


def list_of(experiment: str) -> str:
    """Return the list of the study's cells and runs with accuracies and settings, below MLflow's own address."""
    return f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={LIST}"


def curves_of(experiment: str) -> str:
    """Return the study's curves, a line a method: its mean over seeds and the range of the seeds."""
    return (
        f"#/experiments/{experiment}/runs?workflowType=machine_learning&compareRunsMode=CHART"
        f"&viewStateShareKey={CURVES}"
    )


def artifact_of(experiment: str, run: str, name: str) -> str:
    return f"#/experiments/{experiment}/runs/{run}/artifacts/{name}?workflowType=machine_learning"


def links(database: Path) -> dict[str, tuple[str, str]]:
    """{study: its list and its curves, below MLflow's address}, the newest first, of an SQLite database; for a command
    that waits for nothing."""
    query = (
        "SELECT name, experiment_id FROM experiments JOIN experiment_tags USING (experiment_id) "
        "WHERE lifecycle_stage = 'active' AND key = ? ORDER BY last_update_time DESC LIMIT 10"
    )
    try:
        with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as open_database:
            found = open_database.execute(query, (SHARED + LIST,))
            return {name: (list_of(str(id)), curves_of(str(id))) for name, id in found}
    except sqlite3.DatabaseError:  # of another MLflow; its own server says what is wrong
        return {}


def set_up(client: MlflowClient, experiment: str, measured: Sequence[str] = ()) -> None:
    """Give the experiment its views, its kind (training, not chat) and a description with links to them and the report.

    measured: what a run of it is about, set by set (`study_metrics.of_run`). A description that a person wrote stays.
    """
    there = client.get_experiment(experiment).tags
    kept = study_metrics.joined(there.get(MEASURED), measured)
    about = study_metrics.shown(kept)
    note = note_of(experiment, _report(client, experiment))
    wanted = {
        SHARED + LIST: _view("Runs and settings", _state(about)),
        SHARED + CURVES: _view("Curves by method", _state(about, curves=True)),
        MEASURED: kept,
        KIND: there.get(KIND, "custom_model_development"),
    }
    if _is_ours(there, experiment):
        wanted |= {NOTE: note, OURS: mapping.digest(note)}
    for name, value in wanted.items():
        if there.get(name) != value:
            client.set_experiment_tag(experiment, name, value)


def note_of(experiment: str, report: str | None) -> str:
    """Return the description. Its links are named at its end: MLflow's list of experiments shows the beginning as it is
    written."""
    links = {"Runs": list_of(experiment), "Curves": curves_of(experiment)}
    if report:
        files = {"Report": "report.html", "PDF": "report.pdf"}
        links |= {name: artifact_of(experiment, report, file) for name, file in files.items()}
    about = (
        "In Runs a line is a cell, and the plus sign before it opens its seeds. In Curves a line is a method: mean and "
        "range over seeds."
    )
    return "\n".join(
        [
            f"See {', '.join(f'[{name}]' for name in links)}. {about}",
            "",
            *(f"[{n}]: {to}" for n, to in links.items()),
        ]
    )


def _is_ours(tags: dict[str, str], experiment: str) -> bool:
    """Whether no person wrote the description; older versions began it with a link."""
    note = tags.get(NOTE, "")
    return not note or tags.get(OURS) == mapping.digest(note) or note.startswith(f"[Runs]({list_of(experiment)}) ")


def _report(client: MlflowClient, experiment: str) -> str | None:
    """Return the newest report of the study."""
    found = client.search_runs(
        [experiment], f"tags.`{IS_REPORT}` = 'yes'", order_by=["attributes.start_time DESC"], max_results=1
    )
    return found[0].info.run_id if found else None


def _view(name: str, state: dict[str, Any]) -> str:
    """Return a view as MLflow's page stores it, under the name that its list shows."""
    return json.dumps({"name": name, "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)})


def _state(measured: Sequence[str], curves: bool = False) -> dict[str, Any]:
    """Return the state of MLflow's page of runs, as that page itself would store it."""
    groups = [{"mode": "param", "groupByData": name} for name in ("model", "algo", "tau")]
    state = {
        # Cells and reports have no parent, and no curves.
        "searchFilter": 'tags.`mlflow.parentRunId` != ""' if curves else "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": study_metrics.columns(measured),
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsHiddenMode": "SHOWALL",
        "groupBy": {"aggregateFunction": "average", "groupByKeys": groups} if curves else None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        # Sections that the page adds come after ours; otherwise it sorts them all by the alphabet.
        "isAccordionReordered": curves,
        "viewMaximized": False,
        "runListHidden": False,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }
    return state | (_charts(study_metrics.charts(measured)) if curves else {})


def _charts(wanted: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """wanted: section -> the metrics of its charts."""
    sections = [
        {"uuid": name, "name": name, "display": True, "isReordered": False, "deleted": False, "isGenerated": False}
        for name in wanted
    ]
    charts = [
        {
            "uuid": metric,
            "type": "LINE",
            "runsCountToCompare": 10,
            "metricSectionId": section,
            "deleted": False,
            "isGenerated": False,
            "displayName": metric,
            "metricKey": metric,
            "selectedMetricKeys": [metric],
            "lineSmoothness": 0,
            "xAxisScaleType": "linear",
            "scaleType": "linear",
            "range": {},
            "xAxisKey": "step",
            "selectedXAxisMetricKey": "",
            "yAxisKey": "metric",
            "yAxisExpressions": [],
            "ignoreOutliers": False,
            "useGlobalXaxisKey": True,
            "useGlobalLineSmoothing": True,
        }
        for section, metrics in wanted.items()
        for metric in metrics
    ]
    return {"compareRunSections": sections, "compareRunCharts": charts}
