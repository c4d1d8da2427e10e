"""What a search leaves for people: pictures and a table in reports/STUDY/search, and in MLflow's search run."""

from __future__ import annotations

import optuna
from rich.console import Console

from gapo_lab.search.result import Result
from gapo_lab.search.settings import Search


def write(search: Search, study: optuna.Study, found: Result, console: Console) -> None:
    pass
