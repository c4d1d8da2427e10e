"""From which step a run resumes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def resume_step(saved: Iterable[int], recorded: Mapping[int, Mapping[str, float]]) -> int:
    """Return the newest of the steps with a whole checkpoint that is recorded, too; 0 where a run starts anew.

    verl writes a checkpoint before it logs the step: a run that was killed in between goes back one checkpoint, so that
    no step is missing from its curves.

    recorded: ``{step: {metric: value}}``.
    """
    return max((step for step in saved if "train/reward" in recorded.get(step, {})), default=0)
