"""The disk that the checkpoints of a plan take: while its runs train, and once they have finished. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gapo_lab.config.view import ConfigView
from gapo_lab.planning import cost
from gapo_lab.planning.memory import GB, checkpoint_bytes
from gapo_lab.planning.memory_check import shape_of
from gapo_lab.runs.checkpoints import Keep
from gapo_lab.utils.text import file_size, several

if TYPE_CHECKING:
    from gapo_lab.planning.plan import Planned

# What is worth a line.
MUCH = 100 * GB


def while_training(settings: Mapping[str, Any]) -> float:
    """Return the bytes of a run's checkpoints while it trains: fp32 weights with Adam's moments, so many times."""
    every = settings.get("trainer.save_freq") or 0
    if every <= 0:
        return 0.0
    number = settings.get("trainer.max_actor_ckpt_to_keep") or (cost.steps(settings) or 0) // every + 1
    return number * checkpoint_bytes(_parameters(settings), trained=_adapters(settings))


def when_finished(settings: Mapping[str, Any]) -> float:
    """Return the bytes of what a finished run keeps of them (`keep`)."""
    if (settings.get("trainer.save_freq") or 0) <= 0 or settings["keep"] == Keep.NONE:
        return 0.0
    if settings["keep"] == Keep.ALL:
        return while_training(settings)
    return checkpoint_bytes(_parameters(settings), settings["keep"] != Keep.WEIGHTS, _adapters(settings))


def at_most(runs: Sequence[Planned]) -> float:
    """Return the bytes that the checkpoints of these runs take at any moment: as many train at a time as may."""
    alike: dict[tuple, list[Planned]] = defaultdict(list)
    for run in runs:
        alike[run.resources].append(run)
    more = 0.0
    for same in alike.values():
        training = sorted((while_training(run.settings) - when_finished(run.settings) for run in same), reverse=True)
        more += sum(training[: same[0].cluster.max_parallel])
    return in_the_end(runs) + more


def in_the_end(runs: Sequence[Planned]) -> float:
    """Return the bytes that their checkpoints take once all have finished."""
    return sum(when_finished(run.settings) for run in runs)


def note(runs: Sequence[Planned]) -> str:
    """Return the line of a plan on this; '' where it is little."""
    most, left = at_most(runs), in_the_end(runs)
    if most < MUCH:
        return ""
    root, keep = runs[0].settings["run_root"], runs[0].settings["keep"]
    return (
        f"checkpoints of {several(len(runs), 'run')} take up to {file_size(most)} below {root} while they train, and "
        f"{file_size(left)} once all have finished (keep={keep})"
    )


def refusal(runs: Sequence[Planned], free: float, there: float = 0.0) -> str:
    """Return why these runs cannot be started on a disk with so many bytes free; '' where they can.

    there: bytes of their checkpoints from earlier attempts, which are in use already and will be replaced.
    """
    asked = [run for run in runs if run.settings.get("check_disk", True)]
    need = at_most(asked) - there if asked else 0.0
    if need <= free:
        return ""
    few = ["another run_root"]
    if len(asked) > 1:
        few.append("fewer runs at a time (cluster.max_parallel)")
    if in_the_end(asked):
        few.append("keep=none")
    return (
        f"run_root={asked[0].settings['run_root']}: {file_size(free)} are free and the checkpoints of "
        f"{several(len(asked), 'run')} take {file_size(need)}. Take {', or '.join(few)}; check_disk=false starts them "
        "all the same."
    )


def _parameters(settings: Mapping[str, Any]) -> float:
    """How many a checkpoint holds; a rehearsal's is a line of text."""
    return 0.0 if settings.get("rehearsal.steps") else settings["model.billions"] * 1e9


def _adapters(settings: Mapping[str, Any]) -> float | None:
    """How many parameters LoRA trains; None where all of the model's are trained, or its shape is not known."""
    shape = shape_of(ConfigView(settings)) if settings.get("lora") else None
    return shape.adapters(settings["lora"]) if shape else None
