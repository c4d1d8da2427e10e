"""What a stage finds, a JSON line each, and how it ended; the lines of all stages as a Markdown table."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

DONE, FAILED, LATE, NOT_RUN = "done", "failed", "late", "not run"


@dataclass(frozen=True)
class Finding:
    """One row of the table: `value` as a person reads it; `wanted` what it should be; `ok` None where nothing is."""

    stage: str
    what: str
    value: str
    wanted: str = ""
    ok: bool | None = None
    time: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Ending:
    """How a stage ended (`DONE`, `FAILED`, `LATE`, `NOT_RUN`), after how many seconds, and why."""

    stage: str
    ended: str
    seconds: float = 0.0
    why: str = ""
    time: float = field(default_factory=time.time)


class Notebook:
    """Appends lines to `results.jsonl` of the check's folder; several processes may do so at a time."""

    def __init__(self, folder: Path, stage: str = "") -> None:
        self.path, self.stage = Path(folder) / "results.jsonl", stage

    def found(self, what: str, value: object, wanted: str = "", ok: bool | None = None) -> None:
        """Write down a finding of this stage, and print it."""
        finding = Finding(self.stage, what, _text(value), wanted, ok)
        self.write(finding)
        print(f"{finding.what}: {finding.value}{'' if ok is None else f' ({verdict(finding)})'}", flush=True)

    def write(self, line: Finding | Ending) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(line)) + "\n")

    def read(self) -> list[Finding | Ending]:
        """All lines so far."""
        if not self.path.exists():
            return []
        raw = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
        return [Ending(**line) if "ended" in line else Finding(**line) for line in raw]


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def verdict(finding: Finding) -> str:
    """Return the word beside a finding: ok, not ok, or none where nothing was wanted."""
    return {True: "ok", False: "NOT OK", None: ""}[finding.ok]


def is_well(lines: Iterable[Finding | Ending], stages: Iterable[str]) -> bool:
    """Whether each of the stages is done and all that was wanted was found."""
    lines = list(lines)
    ended = {line.stage: line.ended for line in lines if isinstance(line, Ending)}
    return all(ended.get(stage) == DONE for stage in stages) and not any(
        line.ok is False for line in lines if isinstance(line, Finding)
    )


def table(lines: Sequence[Finding | Ending], stages: Sequence[str]) -> str:
    """Return a Markdown table: a row a finding, by stage, and a row for how each stage ended."""
    rows = ["| stage | what | found | wanted | |", "| :-- | :-- | --: | :-- | :-- |"]
    for stage in stages:
        of_stage = [line for line in lines if line.stage == stage]
        rows += [_row(x.stage, x.what, x.value, x.wanted, verdict(x)) for x in of_stage if isinstance(x, Finding)]
        endings = [line for line in of_stage if isinstance(line, Ending)]
        rows += [_row(x.stage, "the stage", _ended(x), DONE, "ok" if x.ended == DONE else "NOT OK") for x in endings]
    return "\n".join(rows) + "\n"


def _ended(ending: Ending) -> str:
    after = f" after {ending.seconds:.0f} s" if ending.ended != NOT_RUN else ""
    return f"{ending.ended}{after}{f': {ending.why}' if ending.why else ''}"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
