"""What a plan says of a model of the user's own: what was read from its files, which can be set otherwise. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gapo_lab.utils.text import several

if TYPE_CHECKING:
    from gapo_lab.planning.plan import Planned

THINKING = "enable_thinking"
KWARGS = "model.chat_template_kwargs"


def lines(runs: Sequence[Planned]) -> list[str]:
    """Return a line for each model that no config file describes, in the order of the plan."""
    own = {run.settings["model.name"]: run.settings for run in runs if run.settings.get("model.family")}
    found = [f"model {name}: {shape(settings)}" for name, settings in own.items()]
    return [*found[:-1], f"{found[-1]}. Each can be set: model.gpus=..."] if found else []


def shape(settings: Mapping[str, Any]) -> str:
    """Say `qwen3, 4.02B parameters, 36 layers of 2560, chat template with a system turn, thinking off, 4 GPUs ...`."""
    read = {key.removeprefix("model."): value for key, value in settings.items() if key.startswith("model.")}
    return ", ".join(
        [
            read["family"],
            f"{parameters(read['billions'])} parameters",
            f"{several(read['layers'], 'layer')} of {read['hidden']}",
            f"chat template {'with' if read['system_role'] else 'without'} a system turn",
            _thinking(settings),
            _machines(settings, read),
        ]
    )


def parameters(billions: float) -> str:
    """Write `4.02B`, `135M`, `620K`."""
    for size, unit in ((1.0, "B"), (1e-3, "M")):
        if billions >= size:
            return f"{billions / size:.3g}{unit}"
    return f"{billions * 1e6:.3g}K"


def _thinking(settings: Mapping[str, Any]) -> str:
    said = settings.get(f"{KWARGS}.{THINKING}", (settings.get(KWARGS) or {}).get(THINKING))
    return "no thinking switch" if said is None else f"thinking {'on' if said else 'off'}"


def _machines(settings: Mapping[str, Any], read: Mapping[str, Any]) -> str:
    if not settings.get("backend.needs_gpu"):
        return "small enough to train without a GPU"
    cut = f"vLLM cuts a copy over {read['tensor_parallel']}, training a sequence over {read['ulysses']}"
    return f"{several(settings['trainer.n_gpus_per_node'], 'GPU')} ({cut})"
