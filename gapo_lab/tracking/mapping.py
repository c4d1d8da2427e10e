"""How a run folder is told to MLflow: names, parameters, tags, points. Pure; imports nothing heavy."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from gapo_lab.runs import metrics, naming
from gapo_lab.runs.metrics import Points, Row
from gapo_lab.runs.provenance import Provenance
from gapo_lab.runs.status import RunStatus, State

# The axes people compare by, beside the spec's own words, and the verl keys they are.
SETTINGS = {
    "lr": "actor_rollout_ref.actor.optim.lr",
    "steps": "trainer.total_training_steps",
    "prompts": "data.train_batch_size",
    "rollouts": "actor_rollout_ref.rollout.n",
    "mini_batch": "actor_rollout_ref.actor.ppo_mini_batch_size",
    "clip_low": "actor_rollout_ref.actor.clip_ratio_low",
    "clip_high": "actor_rollout_ref.actor.clip_ratio_high",
    "kl_coef": "actor_rollout_ref.actor.kl_loss_coef",
    "response_length": "data.max_response_length",
    "id_size": "data.id_size",
    "ood_size": "data.ood_size",
}
WORDS = ("key", "model", "algo", "tau", "seed", "data", "scale", "backend")
# Of them what is not the cell's: which run it is, and where it ran.
NOT_CELL = frozenset({"key", "seed", "backend"})
STATUS: dict[str, str] = {
    State.RUNNING: "RUNNING",
    State.FINISHED: "FINISHED",
    State.FAILED: "FAILED",
    State.INTERRUPTED: "KILLED",
}


def params(spec: Mapping[str, Any], config: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the dozen axes, as text; what a run does not have is left out.

    config: values of the run's configuration by dotted key, for what is verl's own default and so not in the spec.
    """
    found = {word: spec.get(word) for word in WORDS} | {"model": naming.model_name(spec)}
    science = spec.get("science", {})
    found |= {name: science.get(key, (config or {}).get(key)) for name, key in SETTINGS.items()}
    found["noise"] = naming.noise_of(spec)
    # what else differs from the defaults, where it is not among these under another name
    known = [f".{key}" for key in SETTINGS.values()]
    others = {
        label: value
        for label, value in naming.differs(spec).items()
        if label not in found and not any(key.endswith(f".{label}") for key in known)
    }
    return {name: naming.text_of(value) for name, value in (found | others).items() if value is not None}


def cell_params(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters that the runs of a cell share."""
    return {name: value for name, value in params(spec).items() if name not in NOT_CELL}


def cell_tags(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of the parent run that stands for a cell."""
    return {
        "gapo.is_cell": "yes",
        "gapo.cell": naming.cell_id(spec),
        "mlflow.note.content": (
            "One cell: its runs differ only in their seed. "
            "Its metrics are the means over the finished ones, at the step that is their number."
        ),
    }


def old_cell_id(spec: Mapping[str, Any]) -> str:
    """Return the cell's id before it was the run key's content without the seed; MLflow's runs of then bear it."""
    same = {word: spec.get(word) for word in ("model", "algo", "tau", "data", "scale")}
    same["science"] = spec.get("science", {})
    return hashlib.sha256(json.dumps(same, sort_keys=True, default=str).encode()).hexdigest()[:10]


def old_cell_name(spec: Mapping[str, Any]) -> str:
    """Return the cell's name before it told what differs from the defaults."""
    tau = f" tau={naming.text_of(spec['tau'])}" if spec.get("tau") is not None else ""
    noise = f" noise={naming.text_of(naming.noise_of(spec))}" if naming.noise_of(spec) else ""
    return f"{spec.get('model')} {spec.get('algo')}{tau}{noise}"


def tags(
    spec: Mapping[str, Any],
    provenance: Provenance,
    status: RunStatus,
    started: float | None = None,
) -> dict[str, str]:
    """Return what MLflow shows beside the parameters, as far as it is known."""
    git, slurm = provenance.origin.git, provenance.machine.slurm
    found = {
        "gapo.cell": naming.cell_id(spec),
        "gapo.cell_name": naming.cell_name(spec),
        "gapo.study": spec.get("study") or "default",
        "gapo.rehearsal": "yes" if is_rehearsal(spec) else None,
        "gapo.claims": json.dumps(spec["claims"]) if "claims" in spec else None,
        "gapo.label": spec.get("label"),
        "gapo.started": None if started is None else milliseconds(started),
        "gapo.state": None if status.state is State.NEW else status.state,
        "gapo.attempt": status.attempt,
        "gapo.host": status.process.host if status.process else None,
        # empty where there is none, so that the cause of an earlier end does not stay
        "gapo.cause": None if status.state is State.NEW else status.cause,
        "gapo.message": None if status.state is State.NEW else status.message,
        "gapo.slurm": json.dumps(slurm) if slurm else None,
        "mlflow.source.name": "gapo_lab.run",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": git.commit or None,
        "gapo.git.dirty": git.dirty if git.commit else None,
        "gapo.package": provenance.package or None,
        "mlflow.note.content": note(spec, provenance, status),
    }
    return {name: str(value)[:5000] for name, value in found.items() if value is not None}


def is_rehearsal(spec: Mapping[str, Any]) -> bool:
    """Whether the run's numbers are made up."""
    return any(str(key).startswith("rehearsal.") for key in spec.get("science") or {})


@lru_cache(maxsize=64)  # the points of a step share their time
def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def note(spec: Mapping[str, Any], provenance: Provenance, status: RunStatus) -> str:
    """Return the run's description in Markdown: how to repeat it, how it ended, where it came from."""
    git = provenance.origin.git
    words = [
        f"{w}={naming.text_of(spec[w])}"
        for w in ("model", "algo", "tau", "seed", "data", "scale")
        if spec.get(w) is not None
    ]
    overrides = spec.get("overrides") or []
    words += [str(o) for o in overrides if str(o).split("=")[0] not in {w.split("=")[0] for w in words}]
    lines = [f"`python -m gapo_lab.run {' '.join(words)}`", "", f"Run folder `{spec.get('key', '')}`"]
    if status.process:
        lines[-1] += f" on `{status.process.host}`"
    if git.commit:
        lines[-1] += f", commit `{git.commit[:10]}`" + (" with changes (`diff.patch`)" if git.dirty else "")
    elif provenance.package:
        lines[-1] += f", {provenance.package}"
    if status.has_stopped:
        lines += ["", f"**{status.state}**: {status.message} {status.advice(str(spec.get('key', '')))}"]
    return "\n".join(lines)


@lru_cache(maxsize=65_536)
def metric_name(name: str) -> str:
    """``name`` as MLflow takes it: ``@`` is ``_at_``, any other character it refuses is ``_``."""
    return re.sub(r"[^/\w.\- :]", "_", name.replace("@", "_at_"))[:250]


def is_plain(name: str) -> bool:
    """Whether a name is no path that MLflow refuses, such as `a//b` or `../a`."""
    return bool(name) and posixpath.normpath(name) == name and not name.startswith(("/", ".."))


class Sample(NamedTuple):
    """One point as MLflow holds it. ``value`` is kept as text so that NaN equals itself."""

    name: str
    step: int
    value: str
    milliseconds: int


def samples(attempts: Sequence[Sequence[Row]], summary: Mapping[str, Any] | None) -> set[Sample]:
    """Every point MLflow must hold for these attempts; the summary's numbers stand at step 0."""
    merged = metrics.merge(attempts)
    found = {_sample(name, step, point.value, point.time) for step, at in merged.items() for name, point in at.items()}
    last = last_time(merged)
    return found | {_sample(name, 0, value, last) for name, value in numbers(summary or {}).items()}


def numbers(summary: Mapping[str, Any]) -> dict[str, float]:
    """Return what of a summary is a point, at step 0."""
    return {
        name: float(value)
        for name, value in summary.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def last_time(merged: Points) -> float:
    return max((point.time for at in merged.values() for point in at.values()), default=0.0)


def _sample(name: str, step: int, value: float, time: float) -> Sample:
    return Sample(metric_name(name), step, repr(float(value)), milliseconds(time))


class Copied(NamedTuple):
    """What has been sent to MLflow: rows of each attempt, whether the summary, and a check of the points."""

    rows: dict[int, int]
    summary: bool
    check: str

    def to_text(self) -> str:
        return json.dumps(self._asdict())

    @classmethod
    def from_text(cls, text: str | None) -> Copied:
        if not text:
            return cls({}, False, digest([]))
        raw = json.loads(text)
        return cls({int(number): count for number, count in raw["rows"].items()}, raw["summary"], raw["check"])

    def grown(self, number: int, rows: Sequence[Row]) -> tuple[Copied, set[Sample]]:
        """Return the mark after these rows more of attempt ``number``, and their points; each at a step that was not
        there."""
        new = {_sample(name, row.step, value, row.time) for row in rows for name, value in row.metrics.items()}
        counts = self.rows | {number: self.rows.get(number, 0) + len(rows)}
        return self._replace(rows=counts, check=check(new, self.check)), new


def sent(
    copied: Copied, attempts: Mapping[int, Sequence[Row]], summary: Mapping[str, Any] | None
) -> set[Sample] | None:
    """Return the points that ``copied`` stands for, or None where the folder no longer holds what was sent."""
    rows = [attempts[number][: copied.rows.get(number, 0)] for number in sorted(attempts)]
    found = samples(rows, summary if copied.summary else None)
    # marks of earlier versions hold a digest of all points, which cannot be gone on from
    now = check(found) if copied.check.startswith(SUM) else digest(sorted(found))
    return found if now == copied.check else None


def to_send(attempts: Mapping[int, Sequence[Row]], summary: Mapping[str, Any] | None) -> tuple[Copied, set[Sample]]:
    """All points that MLflow must hold, and the mark that says they were sent."""
    found = samples([attempts[number] for number in sorted(attempts)], summary)
    rows = {number: len(attempts[number]) for number in sorted(attempts)}
    return Copied(rows, summary is not None, check(found)), found


SUM = "sum-"


def check(found: Iterable[Sample], before: str = f"{SUM}0") -> str:
    """Return a sum of a hash of each point, on top of the check of others: the order does not matter, and it can
    grow."""
    total = int(before.removeprefix(SUM), 16)
    for sample in found:
        text = f"{sample.name}\0{sample.step}\0{sample.value}\0{sample.milliseconds}".encode()
        total += int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
    return f"{SUM}{total % 2**64:x}"


def digest(value: Any) -> str:
    """Twelve hex digits of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
