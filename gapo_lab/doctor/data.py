"""Whether the data that a run trains on and is tested on are here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gapo_lab.data import content_digest
from gapo_lab.data.ood import registry as ood
from gapo_lab.doctor.finding import Finding, note, ok, wrong
from gapo_lab.errors import UserError
from gapo_lab.planning import cost
from gapo_lab.utils.dotted import below


def check_data(name: str, where: str, tasks: int | None, batch: int, needs_gpu: bool, error: str | None) -> Finding:
    """where: a folder or repositories, '' for generated data. tasks: to train on, None where nobody has counted them.

    error: what cannot be found, with the remedy.
    """
    if error is not None:
        return wrong("data", error)
    amount = "examples not counted yet" if tasks is None else f"{tasks:,} examples to train on"
    what = f"data={name}{f' at {where}' if where else ''}, {amount}"
    if tasks is not None and tasks < batch:
        return wrong("data", f"{what}, fewer than a batch of {batch}", "Mine more (docs/data.md)")
    if name in ("micro", "micro_blocks") and needs_gpu:
        remedy = "For edits of real repositories: data=git (docs/data.md)"
        return note("data", f"{what}, generated, of some 200 tokens", remedy)
    return ok("data", what)


def check_ood(name: str, found: str | None, error: str | None) -> Finding:
    """found: the file of the set, None where it is generated. error: why it cannot be found, with the remedy."""
    if error is not None:
        return wrong("OOD data", error)
    return ok("OOD data", f"data.ood={name}{f' at {found}' if found else ', generated'}")


def look(settings: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the findings about the data of one run. settings: by dotted key."""
    data = below(settings, "data")
    name, where = data["name"], _place(data)
    error = None
    try:
        content_digest.of(data)
    except UserError as wrong_data:
        error = str(wrong_data)
    tasks = None if error else cost.training_tasks(settings)
    batch = settings["data.train_batch_size"]
    is_about_ood = bool(error and error.startswith("data.ood"))
    needs_gpu = bool(settings.get("backend.needs_gpu"))
    yield check_data(name, where, tasks, batch, needs_gpu, None if is_about_ood else error)
    set_name = data.get("ood")
    if isinstance(set_name, str) and set_name in ood.NAMES:
        yield _ood(set_name, data.get("ood_path"))


def _place(data: Mapping[str, Any]) -> str:
    """Return where the rows come from; '' for generated data, which have neither files nor repositories."""
    given = data.get("train") or data.get("path") or data.get("repos") or ""
    return ", ".join(map(str, given)) if isinstance(given, (list, tuple)) else str(given)


def _ood(name: str, path: str | None) -> Finding:
    if name in ood.GENERATED:
        return check_ood(name, None, None)
    try:
        found: Path = ood.find(name, path)
    except UserError as error:
        return check_ood(name, None, str(error))
    return check_ood(name, str(found), None)
