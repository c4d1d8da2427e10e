"""Checks of what a run keeps: `keep`, `check_disk`, and verl's number of checkpoints."""

from __future__ import annotations

from collections.abc import Iterator

from gapo_lab.config.view import ConfigView
from gapo_lab.runs.checkpoints import Keep


def check_keeping(config: ConfigView) -> Iterator[str]:
    """Yield a line for each setting by which a run would not keep what is asked for, or could lose everything."""
    if config.keep not in tuple(Keep):
        yield f"keep={config.keep}: must be one of {', '.join(Keep)}"
    if not isinstance(config.check_disk, bool):
        yield f"check_disk={config.check_disk}: must be true or false"
    kept = config.select("trainer.max_actor_ckpt_to_keep")
    if kept is not None and (isinstance(kept, bool) or not isinstance(kept, int) or kept < 1):
        yield f"trainer.max_actor_ckpt_to_keep={kept}: keeps no checkpoint, so a run could not go on. Give 2 or more"
    elif kept == 1:
        yield (
            "trainer.max_actor_ckpt_to_keep=1: a run that is killed right after saving would start anew, since the "
            "step of its only checkpoint is not recorded yet. Take 2 (keep= says what a finished run keeps)"
        )
