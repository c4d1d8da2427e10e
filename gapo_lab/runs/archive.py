"""Finished runs as one small file: what tables, curves and plans read of them, without checkpoints, logs and answers.

A tar file, compressed with xz, of run folders with one attempt each: the merged history, numbers with seven digits, of
single cases with four. It names no folder, host or user of the machine that the runs come from.
"""

from __future__ import annotations

import io
import json
import lzma
import re
import shutil
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from gapo_lab.errors import UserError
from gapo_lab.runs import generations, spec_file, studies
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.metrics import Row
from gapo_lab.runs.provenance import Provenance
from gapo_lab.runs.status import RunStatus, State
from gapo_lab.utils import atomic_files

STUDIES = "studies.json"
# Of generations the lines of the last validation are kept, of the first of these kinds that the run has: how likely the
# truth is, else how each answer did. That is what reports read; both would be three quarters of an archive.
CASES = ("truths", "val")
WHO = ("set", "greedy", "id", "task")
# Of a case no report reads this: at another temperature it takes the mean, from the metrics.
NOT_READ = ("loglik_t50",)
DIGITS, CASE_DIGITS = 7, 4
# the set that no claim is about
DEV = "dev"
# Of what is logged beside validations and `train/`: what figures and tables draw, and what tells how training went.
_KEPT = re.compile(
    r"(?:val|train)/.*|critic/(?:score|rewards|advantages)/mean|actor/(?:entropy|pg_clipfrac|grad_norm|ppo_kl|kl_loss|lr)"
    r"|response_length/(?:mean|clip_ratio)|perf/(?:throughput|total_num_tokens|time_per_step)"
)


def pack(root: Path, keys: Collection[str], path: Path) -> int:
    """Write the finished ones of these runs to the file ``path``; their number. UserError where none has finished."""
    folders = [folder for key in sorted(keys) if (folder := RunFolder(Path(root) / key)).is_finished]
    if not folders:
        raise UserError(f"none of {len(keys)} runs in {root} has finished: nothing to pack. See them: gapo-lab status")
    found = {name: text for folder in folders for name, text in _files(folder).items()}
    by_key, listed = studies.by_key(root), defaultdict[str, list[str]](list)
    for folder in folders:
        for study in by_key.get(folder.key, ()):
            listed[study].append(folder.key)
    found[STUDIES] = json.dumps(listed, indent=1, sort_keys=True)
    atomic_files.make_folder(Path(path).absolute().parent)
    atomic_files.write_bytes(Path(path), lzma.compress(_tar(found)))
    return len(folders)


def unpack(path: Path, root: Path) -> tuple[list[str], list[str]]:
    """Make run folders in ``root`` of the runs in a file; the keys that are new, and those that were there already.

    A run folder that is there stays as it is. UserError where the file is no archive of runs.
    """
    by_run: dict[str, dict[str, str]] = {}
    listed: dict[str, list[str]] = {}
    for name, text in _members(Path(path)):
        key, _, rest = name.partition("/")
        if name == STUDIES:
            listed = json.loads(text)
        else:
            by_run.setdefault(key, {})[rest] = text
    root = Path(root)
    atomic_files.make_folder(root)
    new, there = [], []
    for key, files in by_run.items():
        if (root / key).exists():
            there.append(key)
            continue
        with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=root) as made:
            for rest, text in files.items():
                place = Path(made) / key / rest
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text, encoding="utf-8")
            shutil.move(Path(made) / key, root / key)
        new.append(key)
    studies.remember(root, [(study, key) for study, keys in listed.items() for key in keys if key in by_run])
    return new, there


# Packing


def _files(folder: RunFolder) -> dict[str, str]:
    """Return the files of a run in the archive, `KEY/spec.yaml` and so on, and their text."""
    clean = _Cleaner(folder)
    provenance, attempt = folder.provenance(), "attempts/1"
    machine = replace(provenance.machine, host="", slurm={})
    git = replace(provenance.origin.git, diff="", untracked=())
    provenance = Provenance(replace(provenance.origin, git=git), machine)
    found = {
        "spec.yaml": clean((folder.path / "spec.yaml").read_text(encoding="utf-8")),
        "config.yaml": clean(spec_file.as_yaml(folder.config())),
        "provenance.json": clean(_json(provenance.to_json())),
        "status.json": _json(_status(folder).to_json()),
        "summary.json": _json({name: _short(value) for name, value in (folder.summary() or {}).items()}),
        f"{attempt}/metrics.jsonl": "".join(f"{row.to_json()}\n" for row in _rows(folder)),
    }
    for kind in CASES:
        if newest := generations.last(folder, kind):
            lines = "".join(_case(row) for row in generations.rows(newest) if row.get("set") != DEV)
            found[f"{attempt}/generations/{kind}/{newest.name}"] = lines
            break
    return {f"{folder.key}/{name}": text for name, text in found.items()}


class _Cleaner:
    """Takes the folders of the machine out of a run's texts."""

    def __init__(self, folder: RunFolder) -> None:
        root, origin = folder.path.parent.resolve(), folder.provenance().origin
        python = [str(PurePosixPath(origin.command[0]).parent)] if origin.command else []
        # the longest first: one may lie in another
        self._folders = sorted({str(root), *python, origin.folder, str(Path.home())} - {"", "/"}, key=len, reverse=True)
        self._names = {str(root): "runs", **dict.fromkeys(python, "bin")}

    def __call__(self, text: str) -> str:
        for one in self._folders:
            text = re.sub(rf"{re.escape(one)}(?![\w.-])", self._names.get(one, "."), text)
        return text


def _status(folder: RunFolder) -> RunStatus:
    """Return how the run ended, without the process and the job that it was."""
    now = folder.status()
    kept = {
        name: getattr(now, name)
        for name in ("step", "total_steps", "started", "updated", "wall_seconds", "idle_seconds")
    }
    return RunStatus(State.FINISHED, attempt=1, **kept)


def _rows(folder: RunFolder) -> Iterator[Row]:
    for step, points in folder.merged_points().items():
        kept = {name: _short(point.value) for name, point in points.items() if _KEPT.fullmatch(name)}
        yield Row(step, round(max(point.time for point in points.values()), 3), kept)


def _case(row: Mapping[str, Any]) -> str:
    kept = {
        name: _short(value, CASE_DIGITS)
        for name, value in row.items()
        if name in WHO or (isinstance(value, (int, float)) and not isinstance(value, bool) and name not in NOT_READ)
    }
    return f"{json.dumps(kept)}\n"


def _short(value: Any, digits: int = DIGITS) -> Any:
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=1)


def _tar(files: Mapping[str, str]) -> bytes:
    """Return a tar file of texts: the same bytes for the same texts, whoever makes it and when."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        # files of one kind side by side: they compress to a fraction
        for name in sorted(files, key=lambda one: (one.partition("/")[2], one)):
            data = files[name].encode()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


# Unpacking


def _members(path: Path) -> Iterable[tuple[str, str]]:
    """Return name and text of each file. UserError where ``path`` is no such archive, or one that leaves its folder."""
    try:
        with tarfile.open(path, mode="r:xz") as archive:
            files = [member for member in archive.getmembers() if member.isfile()]
            found = [(member.name, (archive.extractfile(member) or io.BytesIO()).read().decode()) for member in files]
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file. Give an archive that gapo-lab pack has made") from error
    except (tarfile.TarError, lzma.LZMAError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: no archive of runs ({error}). Give a file that gapo-lab pack has made") from error
    names = {name for name, _ in found}
    outside = [name for name in names if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
    keys = {name.partition("/")[0] for name in names - {STUDIES}}
    if outside or STUDIES not in names or any(not {f"{key}/spec.yaml", f"{key}/summary.json"} <= names for key in keys):
        raise UserError(f"{path}: no archive of runs. Give a file that gapo-lab pack has made")
    return found
