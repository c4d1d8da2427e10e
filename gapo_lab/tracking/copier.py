"""Copies run folders to MLflow: again and again, with the same result.

A run folder is one MLflow run in each study that asked for it, found by its tag ``gapo.key``. MLflow cannot take a
point back, so where a resumed attempt gave up steps that had been copied already, the run is made anew and the old
one deleted (as the UI's Delete does). What was sent is noted in tags before and after sending: a copy that was cut
off is made good by the next.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from gapo_lab.runs import naming, studies
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.history import AttemptReader
from gapo_lab.tracking import artifacts, cell_means, mapping, mlflow_client, study_metrics, study_page
from gapo_lab.tracking import uri as addresses
from gapo_lab.tracking.mapping import Copied, Sample
from gapo_lab.tracking.sent_values import SentPoints
from gapo_lab.utils import atomic_files

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

KEY, CELL, IS_CELL, STUDY = "gapo.key", "gapo.cell", "gapo.is_cell", "gapo.study"
# MLflow's pages hide tags that begin with its name, and nobody wants to read these.
SENDING, SENT, FILES = "mlflow.gapo.sending", "mlflow.gapo.sent", "mlflow.gapo.files"
BATCH = 1000  # points a request: MLflow's limit, and its fastest

log = logging.getLogger(__name__)


def copy(folder: RunFolder, uri: str | None = None) -> str:
    """Make MLflow hold all that ``folder`` holds, and give back the id of its MLflow run in the study that asked first.

    ``uri`` is None for MLFLOW_TRACKING_URI, else ``sqlite:///mlflow.db``. MLflow's own errors propagate.
    """
    return Copier(folder, uri).everything()


class Copier:
    """One run folder and one open MLflow."""

    def __init__(self, folder: RunFolder, uri: str | None = None, client: MlflowClient | None = None) -> None:
        self.folder, self.uri = folder, addresses.resolve(uri)
        self.client = client or mlflow_client.connect(self.uri)
        self.spec = folder.spec
        self._lock = folder.path / "tracking.lock"
        self._sent: dict[str, SentPoints] = {}  # by experiment

    def everything(self) -> str:
        """Points, parameters, tags, files and the state."""
        with atomic_files.locked(self._lock):
            first, *_ = [self._everything(experiment) for experiment in self._experiments()]
            return first

    def points(self) -> str:
        """Return the new points only: what is done every few seconds while the run goes on."""
        with atomic_files.locked(self._lock):
            first, *_ = [
                self._copy_new(experiment) or self._copy_points(experiment) for experiment in self._experiments()
            ]
            return first.info.run_id

    def _everything(self, experiment: str) -> str:
        run = self._copy_points(experiment)
        self._copy_params(run)
        self._copy_tags(run)
        self._copy_files(run)
        self._copy_state(run)
        if self.folder.is_finished and (parent := run.data.tags.get("mlflow.parentRunId")):
            cell_means.log_means(self.client, experiment, parent)
        study_page.set_up(self.client, experiment, study_metrics.of_folder(self.folder))
        return run.info.run_id

    def _experiments(self) -> list[str]:
        """Those of the studies that asked for the run, the first of them first; others that a person deleted are
        left."""
        return [mlflow_client.experiment(self.client, self.uri, study) for study in self._studies()]

    def _studies(self) -> list[str]:
        first = self.spec.get("study") or "default"
        others = (s for s in studies.having(self.folder.path.parent, self.folder.key) if s != first)
        return [first, *(study for study in others if not mlflow_client.is_deleted(self.client, study))]

    def shared(self) -> None:
        """Copy what else is finished of the run's studies, asked for first by another one and not on their pages
        yet."""
        root = self.folder.path.parent
        for study in self._studies():
            experiment = mlflow_client.experiment(self.client, self.uri, study)
            copies = self.client.search_runs([experiment], f"tags.`{STUDY}` != '{study}'", max_results=50_000)
            there = {run.data.tags.get(KEY) for run in copies}
            for folder in (RunFolder(root / key) for key in studies.of_study(root, study) if key not in there):
                if folder.is_finished and (folder.spec.get("study") or "default") != study:
                    Copier(folder, self.uri, self.client).everything()

    @property
    def _config(self) -> dict[str, Any]:
        return self.folder.config_values(mapping.SETTINGS.values())

    # The runs

    def _find(self, experiment: str, **tags: str) -> Run | None:
        """Return the oldest run with these tags."""
        wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        found = self.client.search_runs([experiment], wanted, order_by=["attributes.start_time ASC"], max_results=1)
        return found[0] if found else None

    def _run(self, experiment: str) -> Run:
        run = self._find(experiment, **{KEY: self.folder.key})
        if run is None:
            with mlflow_client.creating(self.uri, self.folder.path.parent):
                run = self._find(experiment, **{KEY: self.folder.key}) or self._create(experiment, {})
        return run

    def _create(self, experiment: str, kept_tags: Mapping[str, str]) -> Run:
        tags = dict(kept_tags) | {KEY: self.folder.key, "mlflow.parentRunId": self.cell(experiment)}
        started = self.folder.started()
        run = self.client.create_run(
            experiment, mapping.milliseconds(started) if started else None, tags, naming.run_name(self.spec)
        )
        self._log_params(run.info.run_id, mapping.params(self.spec, self._config))
        return self.client.get_run(run.info.run_id)

    def cell(self, experiment: str) -> str:
        """Return the id of the parent run, which stands for the cell: the runs that differ only in seed."""
        if found := self._find(experiment, **{IS_CELL: "yes", CELL: naming.cell_id(self.spec)}):
            return found.info.run_id
        if found := self._find(experiment, **{IS_CELL: "yes", CELL: mapping.old_cell_id(self.spec)}):
            return self._renewed(experiment, found)
        tags, name = mapping.cell_tags(self.spec), naming.cell_name(self.spec)
        run_id = self.client.create_run(experiment, None, tags, name).info.run_id
        self._log_params(run_id, mapping.cell_params(self.spec))
        self.client.set_terminated(run_id)
        return run_id

    def _renewed(self, experiment: str, parent: Run) -> str:
        """Return the id of a parent run from before cells had today's id and name; it and its runs get the id."""
        run_id = parent.info.run_id
        children = self.client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'")
        for run in (parent, *children):
            self.client.set_tag(run.info.run_id, CELL, naming.cell_id(self.spec))
        self._rename(parent, mapping.old_cell_name(self.spec), naming.cell_name(self.spec))
        missing = mapping.cell_params(self.spec)
        self._log_params(run_id, {k: v for k, v in missing.items() if k not in parent.data.params})
        return run_id

    def _rename(self, run: Run, old: str, new: str) -> None:
        """Give a run today's name, unless a person has named it."""
        if run.info.run_name == old != new:
            self.client.update_run(run.info.run_id, name=new)

    # Points

    def _copy_new(self, experiment: str) -> Run | None:
        """Send what the run has written since this copier's last look; None where all of it must be compared."""
        sent = self._sent.pop(experiment, None)
        if sent is None or (rows := sent.new_rows(self.folder)) is None:
            return None
        run = self.client.get_run(sent.run_id)
        if run.info.lifecycle_stage != "active" or run.data.tags.get(SENT) != sent.mark.to_text():
            return None  # another copier was here
        if rows:
            mark, new = sent.mark.grown(sent.readers[-1].attempt.number, rows)
            self._send(sent.run_id, mark, new)
            sent = sent._replace(mark=mark, last_step=rows[-1].step)
        self._sent[experiment] = sent
        return run

    def _copy_points(self, experiment: str) -> Run:
        """Compare all points with what was sent, and send the others."""
        run, summary = self._with_marks(self._run(experiment)), self.folder.summary()
        readers = [AttemptReader(attempt) for attempt in self.folder.attempts()]
        attempts = {reader.attempt.number: reader.new_rows() or [] for reader in readers}
        mark, wanted = mapping.to_send(attempts, summary)
        sent, perhaps = (
            mapping.sent(Copied.from_text(run.data.tags.get(tag)), attempts, summary) for tag in (SENT, SENDING)
        )
        if sent is None or perhaps is None or not sent | perhaps <= wanted:
            run, sent = self._anew(run), set()
        if new := wanted - sent:
            self._send(run.info.run_id, mark, new)
        last_step = max((row.step for rows in attempts.values() for row in rows), default=-1)
        self._sent[experiment] = SentPoints(run.info.run_id, mark, last_step, readers)
        return run

    def _send(self, run_id: str, mark: Copied, new: Iterable[Sample]) -> None:
        self.client.set_tag(run_id, SENDING, mark.to_text())
        self._log_points(run_id, sorted(new, key=lambda s: (s.step, s.milliseconds, s.name)))
        self.client.set_tag(run_id, SENT, mark.to_text())

    def _with_marks(self, run: Run) -> Run:
        """Return the run, with the marks of earlier versions under their present names."""
        old = {name.removeprefix("mlflow."): name for name in (SENDING, SENT, FILES)}
        if not old.keys() & run.data.tags.keys():
            return run
        for name in old.keys() & run.data.tags.keys():
            self.client.set_tag(run.info.run_id, old[name], run.data.tags[name])
            self.client.delete_tag(run.info.run_id, name)
        return self.client.get_run(run.info.run_id)

    def _anew(self, old: Run) -> Run:
        """Another run in the place of ``old``, with the tags a person may have given it."""
        kept = {name: value for name, value in old.data.tags.items() if name not in (SENDING, SENT, FILES)}
        log.warning("run %s: steps that MLflow holds were replaced; MLflow's run is made anew", self.folder.key)
        with mlflow_client.creating(self.uri, self.folder.path.parent):
            self.client.delete_run(old.info.run_id)
            return self._create(old.info.experiment_id, kept)

    def _log_points(self, run_id: str, new: Iterable[Sample]) -> None:
        from mlflow.entities import Metric

        points = (Metric(s.name, float(s.value), s.milliseconds, s.step) for s in new)
        while batch := list(islice(points, BATCH)):
            self.client.log_batch(run_id, metrics=batch)

    # What goes with them

    def _log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        self.client.log_batch(run_id, params=[Param(name, value) for name, value in params.items()])

    def _copy_params(self, run: Run) -> None:
        """Parameters that MLflow lacks; one that has changed cannot be set again and becomes a tag."""
        wanted, there = mapping.params(self.spec, self._config), run.data.params
        self._log_params(run.info.run_id, {name: value for name, value in wanted.items() if name not in there})
        for name in sorted(name for name in there if name in wanted and there[name] != wanted[name]):
            log.warning(
                "run %s: MLflow holds %s=%s, which cannot be changed; its value is now %s (tag gapo.now.%s)",
                self.folder.key,
                name,
                there[name],
                wanted[name],
                name,
            )
            self.client.set_tag(run.info.run_id, f"gapo.now.{name}", wanted[name])

    def _copy_tags(self, run: Run) -> None:
        from mlflow.entities import RunTag

        wanted = mapping.tags(self.spec, self.folder.provenance(), self.folder.status(), self.folder.started())
        new = [RunTag(name, value) for name, value in wanted.items() if run.data.tags.get(name) != value]
        if new:
            self.client.log_batch(run.info.run_id, tags=new)
        before = f"{mapping.old_cell_name(self.spec)} seed={self.spec.get('seed')}"
        self._rename(run, before, naming.run_name(self.spec))

    def _copy_files(self, run: Run) -> None:
        found = artifacts.collect(self.folder)
        mark = artifacts.mark(found)
        if run.data.tags.get(FILES) == mark:
            return
        for name, text in found.items():
            self.client.log_text(run.info.run_id, text, name)
        self.client.set_tag(run.info.run_id, FILES, mark)

    def _copy_state(self, run: Run) -> None:
        status = self.folder.status()
        state = mapping.STATUS.get(status.state, "SCHEDULED")
        if run.info.status == state:
            return
        if state in ("RUNNING", "SCHEDULED"):
            self.client.update_run(run.info.run_id, status=state)
        else:
            ended = status.updated  # a status.json written by hand may lack it
            self.client.set_terminated(run.info.run_id, state, int(ended * 1000) if ended else None)
