"""What a stage finds, a JSON line each, and how it ended; the lines of all stages as a Markdown table."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gapo_lab.utils.text import several

HOW_IT_ENDED = "how the stage ended"
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


def rows(lines: Iterable[Finding | Ending], stages: Iterable[str]) -> list[Finding]:
    """Return what was found, by stage, and as a finding how each stage has ended."""
    out, lines = [], list(lines)
    for stage in stages:
        out += [line for line in lines if line.stage == stage and isinstance(line, Finding)]
        out += [_as_finding(line) for line in lines if line.stage == stage and isinstance(line, Ending)]
    return out


def _as_finding(ending: Ending) -> Finding:
    return Finding(ending.stage, HOW_IT_ENDED, _ended(ending), DONE, ending.ended == DONE)


def judged(lines: Iterable[Finding | Ending], stages: Iterable[str]) -> list[Finding]:
    """Return the findings of which something is expected; a stage that has not ended was not run."""
    lines, stages = list(lines), list(stages)
    ended = {line.stage for line in lines if isinstance(line, Ending)}
    missing = [_as_finding(Ending(stage, NOT_RUN)) for stage in stages if stage not in ended]
    return [row for row in [*rows(lines, stages), *missing] if row.ok is not None]


def is_well(lines: Iterable[Finding | Ending], stages: Iterable[str]) -> bool:
    """Whether each of the stages is done and all that was wanted was found."""
    return all(row.ok for row in judged(lines, stages))


def conclusion(lines: Iterable[Finding | Ending], stages: Iterable[str]) -> str:
    """Return `all 40 findings are as expected`, or how many are not, and these. Findings of which nothing is expected
    do not count."""
    found = judged(lines, stages)
    bad = [row for row in found if not row.ok]
    if not bad:
        return f"all {len(found)} findings are as expected" if len(found) > 1 else "the one finding is as expected"
    are = "is" if len(bad) == 1 else "are"
    first = f"{len(bad)} of {several(len(found), 'finding')} {are} not as expected:"
    return "\n".join([first, *(f"  {row.stage}: {row.what}: {row.value} (expected: {row.wanted})" for row in bad)])


def table(lines: Iterable[Finding | Ending], stages: Iterable[str]) -> str:
    """Return a Markdown table: a row a finding, by stage, and a row for how each stage ended."""
    head = ["| stage | what | found | expected | |", "| :-- | :-- | --: | :-- | :-- |"]
    found = [_row(x.stage, x.what, x.value, x.wanted, verdict(x)) for x in rows(lines, stages)]
    return "\n".join([*head, *found]) + "\n"


def _ended(ending: Ending) -> str:
    after = f" after {ending.seconds:.0f} s" if ending.ended != NOT_RUN else ""
    return f"{ending.ended}{after}{f': {ending.why}' if ending.why else ''}"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
