"""How a study looks in MLflow's pages: which columns its list of runs has, and what its description says.

MLflow keeps the columns in each person's browser; a shared view, kept in a tag of the experiment, is what a link can
open for everyone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY = "gapo"
VIEW, NOTE, KIND = f"mlflow.sharedViewState.{KEY}", "mlflow.note.content", "mlflow.experimentKind"
COLUMNS = (
    "metrics.`best/id/em`", "metrics.`final/id/em`", "metrics.`best/ood/em`", "metrics.`seeds`", "params.`seed`",
    "params.`tau`", "params.`lr`", "params.`steps`",
)  # fmt: skip


def link(experiment: str) -> str:
    """The list of the study's runs with these columns, below MLflow's own address."""
    return f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={KEY}"


def set_up(client: MlflowClient, experiment: str) -> None:
    """Give the experiment its view, its kind (training, not chat) and, where it has none, a description."""
    there = client.get_experiment(experiment).tags
    note = (
        f"[The runs, with accuracy and settings as columns]({link(experiment)}). A line is a cell, with the means over its "
        "seeds; the plus sign before it opens its runs. The run *report* holds tables, figures and statistics."
    )
    wanted = {VIEW: json.dumps(_view()), KIND: "custom_model_development", NOTE: note}
    for name, value in wanted.items():
        if name not in there or (name == VIEW and there[name] != value):
            client.set_experiment_tag(experiment, name, value)


def _view() -> dict:
    """The state of MLflow's page of runs, as that page itself would store it."""
    return {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(COLUMNS),
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "isAccordionReordered": False,
        "viewMaximized": False,
        "runListHidden": False,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }
