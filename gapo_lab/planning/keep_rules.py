"""Checks of what a run keeps: `keep`, `check_disk`, and verl's number of checkpoints."""

from __future__ import annotations

from gapo_lab.config.view import ConfigView
from gapo_lab.errors import UserError
from gapo_lab.runs.checkpoints import Keep


def check_keeping(config: ConfigView) -> None:
    """Raise UserError where a run would not keep what is asked for, or could lose everything."""
    if config.keep not in tuple(Keep):
        raise UserError(f"keep={config.keep}: must be one of {', '.join(Keep)}")
    if not isinstance(config.check_disk, bool):
        raise UserError(f"check_disk={config.check_disk}: must be true or false")
    kept = config.select("trainer.max_actor_ckpt_to_keep")
    if kept is not None and (isinstance(kept, bool) or not isinstance(kept, int) or kept < 1):
        raise UserError(
            f"trainer.max_actor_ckpt_to_keep={kept}: keeps no checkpoint, so a run could not go on. Give 2 or more"
        )
    if kept == 1:
        raise UserError(
            "trainer.max_actor_ckpt_to_keep=1: a run that is killed right after saving would start anew, since the "
            "step of its only checkpoint is not recorded yet. Take 2 (keep= says what a finished run keeps)"
        )
