"""What a check has found: one line, with the remedy where something is wrong. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self


class Verdict(StrEnum):
    """What follows from a finding. Only WRONG makes the command fail."""

    OK = "ok"
    NOTE = "note"
    UNSEEN = "not seen"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """about: a word or two. what: what was found. remedy: what to do; '' where nothing is to be done."""

    about: str
    verdict: Verdict
    what: str
    remedy: str = ""

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Self:
        return cls(**{**raw, "verdict": Verdict(raw["verdict"])})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def text(self) -> str:
        """`what. remedy.`, in one line."""
        parts = [" ".join(part.split()).rstrip(".") + "." for part in (self.what, self.remedy) if part]
        return " ".join(parts) if self.remedy else parts[0].rstrip(".")


def ok(about: str, what: str) -> Finding:
    return Finding(about, Verdict.OK, what)


def note(about: str, what: str, remedy: str = "") -> Finding:
    return Finding(about, Verdict.NOTE, what, remedy)


def unseen(about: str, what: str, remedy: str = "Try --on-node") -> Finding:
    return Finding(about, Verdict.UNSEEN, what, remedy)


def wrong(about: str, what: str, remedy: str = "") -> Finding:
    return Finding(about, Verdict.WRONG, what, remedy)


def failed(findings: Iterable[Finding]) -> bool:
    """Whether one of them is wrong."""
    return any(one.verdict is Verdict.WRONG for one in findings)


def counts(findings: Iterable[Finding]) -> str:
    """`12 ok, 1 note, 2 not seen, 1 wrong`."""
    found = [one.verdict for one in findings]
    return ", ".join(f"{found.count(verdict)} {verdict}" for verdict in Verdict if verdict in found)
