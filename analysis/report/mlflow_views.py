"""How a study looks in MLflow's pages: the columns of its list of runs, its charts, and what its description says.

MLflow keeps columns and charts in each person's browser; a shared view, kept in a tag of the experiment, is what a link
can open for everyone. Two are made: the list of cells, and curves as means over seeds.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

LIST, CURVES = "gapo", "gapocurves"
SHARED = "mlflow.sharedViewState."
NOTE, KIND = "mlflow.note.content", "mlflow.experimentKind"
COLUMNS = (
    "metrics.`best/id/em`", "metrics.`final/id/em`", "metrics.`best/ood/em`", "metrics.`seeds`", "params.`seed`",
    "params.`tau`", "params.`lr`", "params.`steps`",
)  # fmt: skip
CHARTS = {  # section: its charts
    "Accuracy": ("val/id/em", "val/ood/em", "val/id/em_greedy", "val/ood/em_greedy"),
    "Training": ("train/reward", "actor/pg_clipfrac", "actor/entropy", "perf/throughput"),
}


def list_of(experiment: str) -> str:
    """The list of the study's cells and runs with accuracies and settings, below MLflow's own address."""
    return f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={LIST}"


def curves_of(experiment: str) -> str:
    """The study's curves, a line a method: its mean over seeds and the range of the seeds."""
    return (
        f"#/experiments/{experiment}/runs?workflowType=machine_learning&compareRunsMode=CHART"
        f"&viewStateShareKey={CURVES}"
    )


def artifact_of(experiment: str, run: str, name: str) -> str:
    return f"#/experiments/{experiment}/runs/{run}/artifacts/{name}?workflowType=machine_learning"


def set_up(client: MlflowClient, experiment: str, report: str) -> None:
    """Give the experiment its views, its kind (training, not chat) and a description that leads to ``report``.

    A description that a person wrote stays.
    """
    there = client.get_experiment(experiment).tags
    start = f"[Runs]({list_of(experiment)}) "
    page, pdf = (artifact_of(experiment, report, name) for name in ("report.html", "report.pdf"))
    note = (
        f"{start}with accuracy and settings as columns; a line is a cell, the plus sign before it opens its seeds. "
        f"[Curves]({curves_of(experiment)}): a line a method, mean and range over seeds. "
        f"[Report]({page}) ([PDF]({pdf})): tables, figures, statistics."
    )
    wanted = {
        SHARED + LIST: json.dumps(_state(list(COLUMNS))),
        SHARED + CURVES: json.dumps(_state(list(COLUMNS), curves=True)),
        KIND: "custom_model_development",
        NOTE: note,
    }
    ours = {SHARED + LIST, SHARED + CURVES} | ({NOTE} if there.get(NOTE, "").startswith(start) else set())
    for name, value in wanted.items():
        if name not in there or (name in ours and there[name] != value):
            client.set_experiment_tag(experiment, name, value)


def _state(columns: list[str], curves: bool = False) -> dict:
    """The state of MLflow's page of runs, as that page itself would store it."""
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
        "selectedColumns": columns,
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsHiddenMode": "SHOWALL",
        "groupBy": {"aggregateFunction": "average", "groupByKeys": groups} if curves else None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "isAccordionReordered": False,
        "viewMaximized": False,
        "runListHidden": False,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }
    return state | (_charts() if curves else {})


def _charts() -> dict:
    sections = [
        {"uuid": name, "name": name, "display": True, "isReordered": False, "deleted": False, "isGenerated": False}
        for name in CHARTS
    ]  # fmt: skip
    charts = [
        {
            "uuid": metric, "type": "LINE", "runsCountToCompare": 10, "metricSectionId": section, "deleted": False,
            "isGenerated": False, "displayName": metric, "metricKey": metric, "selectedMetricKeys": [metric],
            "lineSmoothness": 0, "xAxisScaleType": "linear", "scaleType": "linear", "range": {}, "xAxisKey": "step",
            "selectedXAxisMetricKey": "", "yAxisKey": "metric", "yAxisExpressions": [], "ignoreOutliers": False,
            "useGlobalXaxisKey": True, "useGlobalLineSmoothing": True,
        }
        for section, metrics in CHARTS.items() for metric in metrics
    ]  # fmt: skip
    return {"compareRunSections": sections, "compareRunCharts": charts}
