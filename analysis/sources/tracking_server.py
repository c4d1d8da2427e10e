"""Runs and curves from a tracking server, a hundred runs a request instead of one.

The server is asked over REST directly: MLflow's client has no call for many histories, and its import takes
seconds. Credentials are read from the same variables as MLflow's client reads.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import requests

from analysis.results import curves as building
from analysis.results.curves import Curve
from analysis.results.runs import Run, from_mlflow
from analysis.results.source import SUMMARISED
from gapo_lab.errors import UserError

PAGE = 1000  # runs of one page of a search
RUNS = 100  # runs of one request for histories: the server's limit
POINTS = 25_000  # points of one reply: the server's limit; a full reply may have been cut
AT_ONCE = 4  # requests under way
TIMEOUT = 60  # seconds
INFINITE = 1.7976931348623157e308  # how MLflow stores infinity


class Server:
    """An MLflow tracking server at an http address."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        self._session = requests.Session()
        if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
            self._session.headers["Authorization"] = f"Bearer {token}"
        elif user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
            self._session.auth = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))
        self._session.verify = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() not in ("true", "1")

    @property
    def place(self) -> str:
        return f"MLflow at {self.uri}"

    def problems(self) -> Sequence[str]:
        return ()

    def _ask(self, method: str, path: str, **words: Any) -> dict[str, Any]:
        try:
            reply = self._session.request(method, f"{self.uri}{path}", timeout=TIMEOUT, **words)
        except requests.RequestException as error:
            raise UserError(
                f"MLflow at {self.uri} cannot be reached ({type(error).__name__}). Start it, or name another "
                "place with --uri"
            ) from error
        if reply.status_code in (401, 403):
            raise UserError(
                f"MLflow at {self.uri} refuses these credentials. Set MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            )
        if reply.status_code == 404 or "json" not in reply.headers.get("content-type", ""):
            raise UserError(
                f"{self.uri} answers {reply.status_code} to {path}: it is no MLflow server, or an older "
                "one. Read its database with --uri sqlite:///FILE"
            )
        if not reply.ok:
            said = reply.json().get("message", "")
            raise UserError(f"MLflow at {self.uri} answers {reply.status_code} to {path}: {said[:200]} (see its log)")
        return reply.json()

    def _pages(self, path: str, key: str, asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        token = None
        while True:
            page = self._ask("POST", path, json={**asked, **({"page_token": token} if token else {})})
            yield from page.get(key, [])
            if not (token := page.get("next_page_token")):
                return

    def studies(self) -> dict[str, str]:
        found = self._pages("/api/2.0/mlflow/experiments/search", "experiments", {"max_results": PAGE})
        return {one["name"]: one["experiment_id"] for one in found}

    def runs(self, studies: Mapping[str, str], keys: Collection[str] | None = None) -> list[Run]:
        by_id = {id: name for name, id in studies.items()}
        asked = {"experiment_ids": list(by_id), "max_results": PAGE, "run_view_type": "ACTIVE_ONLY"}
        found = (_run(one, by_id) for one in self._pages("/api/2.0/mlflow/runs/search", "runs", asked))
        return [run for run in found if keys is None or run.identity in keys]

    def curves(self, runs: Sequence[str], metric: str) -> dict[str, Curve]:
        blocks = [runs[i : i + RUNS] for i in range(0, len(runs), RUNS)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            points = [p for part in pool.map(lambda some: self._history(some, metric), blocks) for p in part]
        if not points:
            return {}
        number = {run: code for code, run in enumerate(runs)}
        codes = np.array([number[point["run_id"]] for point in points], np.int64)
        steps = np.array([int(point.get("step", 0)) for point in points], np.int64)
        times = np.array([int(point["timestamp"]) for point in points], np.int64)
        values = np.array([float(point["value"]) for point in points])
        values[values >= INFINITE], values[values <= -INFINITE] = np.inf, -np.inf
        return {runs[code]: curve for code, curve in building.build(codes, steps, times, values).items()}

    def _history(self, runs: Sequence[str], metric: str) -> list[dict[str, Any]]:
        """Every point of ``metric`` in these runs; halves the request where the reply may have been cut."""
        asked = {"run_id": list(runs), "metric_key": metric, "max_results": POINTS}
        points = self._ask("GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk", params=asked).get("metrics", [])
        if len(points) < POINTS:
            return points
        if len(runs) > 1:
            half = len(runs) // 2
            return self._history(runs[:half], metric) + self._history(runs[half:], metric)
        asked = {"run_id": runs[0], "metric_key": metric, "max_results": POINTS}
        points, token = [], None
        while True:
            words = {**asked, **({"page_token": token} if token else {})}
            page = self._ask("GET", "/api/2.0/mlflow/metrics/get-history", params=words)
            points += [{**point, "run_id": runs[0]} for point in page.get("metrics", [])]
            if not (token := page.get("next_page_token")):
                return points

    def summarised(self, runs: Sequence[str]) -> list[str]:
        return [name for name in self.metrics(runs) if name.startswith(SUMMARISED)]

    def metrics(self, runs: Sequence[str]) -> list[str]:
        names: set[str] = set()
        for run in runs[:: max(1, len(runs) // 5)]:  # a few speak for all
            data = self._ask("GET", "/api/2.0/mlflow/runs/get", params={"run_id": run})["run"]["data"]
            names |= {metric["key"] for metric in data.get("metrics", [])}
        return sorted(names)


def _run(found: Mapping[str, Any], by_id: Mapping[str, str]) -> Run:
    info, data = found["info"], found.get("data", {})
    return from_mlflow(
        info["run_id"],
        (info["experiment_id"], by_id[info["experiment_id"]]),
        info.get("run_name", ""),
        info.get("status", ""),
        int(info.get("start_time", 0)),
        {one["key"]: one["value"] for one in data.get("params", [])},
        {one["key"]: one["value"] for one in data.get("tags", [])},
    )
