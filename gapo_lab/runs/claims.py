"""What a study is to decide, named before its runs: `claims:` of a sweep file.

    claims:
      - gapo_grpo over grpo on val/id/em
      - gapo_grpo over grpo on val/ood/em

A report says better or worse of these alone, the claims about the first metric first (docs/analysis.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gapo_lab.errors import UserError

_WORDS = re.compile(r"(\S+) over (\S+) on (\S+)")


@dataclass(frozen=True)
class Claim:
    """That `method` and `baseline` differ in `metric`: words of `algo=`, and a metric's name."""

    method: str
    baseline: str
    metric: str

    def __str__(self) -> str:
        return f"{self.method} over {self.baseline} on {self.metric}"


def read(lines: object) -> tuple[Claim, ...]:
    """Return the claims of a configuration, in order. UserError naming one that is not METHOD over BASELINE on
    METRIC."""
    if not lines:
        return ()
    if not isinstance(lines, Sequence) or isinstance(lines, str):
        raise UserError(f"claims={lines}: must be a list of lines METHOD over BASELINE on METRIC")
    found = []
    for line in lines:
        words = _WORDS.fullmatch(str(line).strip())
        if not words or words[1] == words[2]:
            raise UserError(f"claims: {line}: must be METHOD over BASELINE on METRIC, two methods and a metric's name")
        found.append(Claim(*words.groups()))
    if len(set(found)) < len(found):
        raise UserError(f"claims={list(map(str, found))}: one of them stands there twice. Name it once")
    return tuple(found)
