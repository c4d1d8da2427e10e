"""What a search leaves for people: pictures and a table in reports/STUDY/search, the same in MLflow's search run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from rich.console import Console

from gapo_lab.search.result import Result
from gapo_lab.search.settings import Search
from gapo_lab.search.storage import address
from gapo_lab.search.trials import KEYS, WHY
from gapo_lab.tracking import uri as addresses
from gapo_lab.tracking.study_page import IS_REPORT
from gapo_lab.utils import atomic_files
from gapo_lab.utils.text import type_and_line

if TYPE_CHECKING:
    from mlflow import MlflowClient

# A run of the study's experiment that is none of its cells: analysis leaves it out.
KIND = "search"


def folder(search: Search) -> Path:
    return Path("reports") / search.study / "search"


def keep_trials(search: Search, study: optuna.Study) -> None:
    """Write the table of all trials as they stand now; after each trial, so that it is there while others go on."""
    atomic_files.make_folder(folder(search))
    atomic_files.write_text(folder(search) / "trials.csv", table(search, study))


def write(search: Search, study: optuna.Study, found: Result, console: Console) -> None:
    """Write the report; where the study's runs are tracked live, log it as well."""
    from gapo_lab.search import figures

    place = folder(search)
    atomic_files.make_folder(place)
    names = [*figures.draw(search, study, place), "trials.csv", "result.json"]
    keep_trials(search, study)
    atomic_files.write_json(place / "result.json", found.as_dict())
    console.print(f"all trials: {place}/trials.csv, pictures beside it", highlight=False)
    if search.tracked:
        try:
            log(search, found, place, names)
            console.print(f"logged to MLflow: run 'search' of {search.study}", highlight=False)
        except Exception as error:  # noqa: BLE001 - MLflow is away; the report is safe in its folder
            console.print(
                f"MLflow could not be reached ({type_and_line(error)}); the same command logs it later",
                highlight=False,
                markup=False,
            )


def table(search: Search, study: optuna.Study) -> str:
    """Every trial as a line of CSV: state, objectives, parameters, steps, run keys, why it failed."""
    import io

    out = io.StringIO()
    keys = [axis.key for axis in search.space.axes]
    names = ["trial", "state", *(one.name for one in search.objectives), *keys, "last step", "runs", "why"]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for trial in study.get_trials(deepcopy=False):
        numbers = trial.values or [""] * len(search.objectives)
        texts = [axis.text(trial.params[axis.key]) if axis.key in trial.params else "" for axis in search.space.axes]
        last = "" if trial.last_step is None else trial.last_step
        runs, why = " ".join(trial.user_attrs.get(KEYS, ())), trial.user_attrs.get(WHY, "")
        writer.writerow([trial.number, trial.state.name.lower(), *numbers, *texts, last, runs, why])
    return out.getvalue()


def log(search: Search, found: Result, place: Path, names: list[str]) -> str:
    """Log the report to the study's search run, made if need be; its id. Takes seconds: imports MLflow."""
    from gapo_lab.tracking import mlflow_client

    uri = addresses.resolve()
    client = mlflow_client.connect(uri)
    experiment = mlflow_client.experiment(client, uri, search.study)
    run = _run(client, experiment)
    for name in names:
        client.log_artifact(run, str(place / name))
    for name, value in tags(search, found).items():
        client.set_tag(run, name, value)
    client.set_terminated(run)
    return run


def _run(client: MlflowClient, experiment: str) -> str:
    there = client.search_runs([experiment], f"tags.`{IS_REPORT}` = '{KIND}'", max_results=1)
    if there:
        return there[0].info.run_id
    made: Any = client.create_run(experiment, run_name="search", tags={IS_REPORT: KIND})
    return made.info.run_id


def tags(search: Search, found: Result) -> dict[str, str]:
    best = found.candidates[0]
    values = ", ".join(f"{name} {value:.4g}" for name, value in zip(found.objectives, best.values, strict=True))
    note = (
        f"Best of {sum(found.states.values())} trials: {values} over {best.seeds} seeds\n\n`{found.line}`\n\n"
        f"Pictures and tables are under Artifacts; all trials: `optuna-dashboard {address(search)}`"
    )
    return {
        "gapo.best": found.line[:5000],
        "mlflow.note.content": note,
        "mlflow.source.name": "gapo_lab.search",
    }
