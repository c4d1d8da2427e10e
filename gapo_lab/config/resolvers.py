"""What `${gapo_lab.NAME:...}` means in a config file; told to Hydra before it composes."""

from __future__ import annotations

from omegaconf import OmegaConf

from gapo_lab.config import attention, choices, search_path
from gapo_lab.paths import NANO, PACKAGE
from gapo_lab.runs.checkpoints import default_keep
from gapo_lab.utils.machine import cores
from gapo_lab.utils.prose import wrapped

HELP = """python -m gapo_lab.run KEY=VALUE ...         one run
python -m gapo_lab.run -m KEY=A,B ...        a sweep: its plan, then the runs
python -m gapo_lab plan KEY=A,B ...          the plan only
python -m gapo_lab --help                    doctor, status, logs, retry, ...

Overrides that choose a config file (python -m gapo_lab show algo=grpo prints one):
CHOICES

Overrides with a value: tau=0.5 noise=0 lora=0 seed=0 study=default
run_root=runs keep=last on_finish=null, and any key of verl, such as
actor_rollout_ref.actor.optim.lr=1e-4. --cfg job shows all keys of a run.
"""
HELP_WIDTH, HELP_INDENT = 80, 10


def register() -> None:
    """Make Hydra know our folders and resolvers. Harmless when called again."""
    search_path.register()
    OmegaConf.register_new_resolver("gapo_lab.package_file", lambda name: str(PACKAGE / name), replace=True)
    OmegaConf.register_new_resolver("gapo_lab.when", lambda test, value: value if test else None, replace=True)
    OmegaConf.register_new_resolver("gapo_lab.equal", lambda one, other: one == other, replace=True)
    OmegaConf.register_new_resolver("gapo_lab.part", lambda whole, parts: max(1, whole // parts), replace=True)
    OmegaConf.register_new_resolver("gapo_lab.at_least", max, replace=True)
    OmegaConf.register_new_resolver(
        "gapo_lab.given", lambda value, other: other if value is None else value, replace=True
    )
    OmegaConf.register_new_resolver("gapo_lab.sum", lambda *numbers: sum(numbers), replace=True)
    OmegaConf.register_new_resolver(
        "gapo_lab.reward_manager", lambda name, noise: "noisy" if noise else name, replace=True
    )
    OmegaConf.register_new_resolver("gapo_lab.cores", cores, replace=True)
    OmegaConf.register_new_resolver("gapo_lab.help", help_text, replace=True)
    for rule in (
        attention.attention,
        attention.without_flash_attention,
        attention.sequence_parallel,
        attention.tokens_per_gpu,
        default_keep,
    ):
        OmegaConf.register_new_resolver(f"gapo_lab.{rule.__name__}", rule, replace=True)
    OmegaConf.register_new_resolver("gapo_lab.nano", _nano_folder, replace=True)
    OmegaConf.register_new_resolver("gapo_lab.smollm2", _smollm2_folder, replace=True)


def help_text() -> str:
    """Return what --help says: the commands, and what can be chosen."""
    said = (wrapped(line, HELP_WIDTH, HELP_INDENT) for line in choices.lines())
    return HELP.replace("CHOICES", "\n".join(said))


def _nano_folder(data: str) -> str:
    return str(NANO / {"lists": "lists_checkpoint", "micro_blocks": "blocks_checkpoint"}.get(data, "checkpoint"))


def _smollm2_folder() -> str:
    from gapo_lab.models.smollm2 import folder

    return str(folder())
