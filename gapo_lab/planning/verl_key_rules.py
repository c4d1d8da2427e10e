"""Keys of verl that a run decides itself, or that verl would read without a word and not obey here."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gapo_lab.config.compose import verl_defaults
from gapo_lab.config.view import ConfigView
from gapo_lab.errors import UserError

# The run folder and the data sets are ours: a value given here would be replaced.
DECIDED = {
    "data.train_files": "data come from data=micro, or from data=git data.path=FOLDER (python -m gapo_lab.data mine)",
    "data.val_files": "data come from data=micro, or from data=git data.path=FOLDER and data.ood=",
    "trainer.default_local_dir": "checkpoints lie in the run folder; run_root= says where that is",
    "trainer.rollout_data_dir": "rollouts are written to the run folder, every scale.rollouts_every steps",
    "trainer.validation_data_dir": "validations are written to the run folder",
    "trainer.resume_mode": "a run goes on from its own last checkpoint; to start it anew remove its run folder",
    "trainer.resume_from_path": "a run goes on from its own last checkpoint; to start from other weights: model.path=",
}
ONLY = {
    "trainer.use_v1": (True, "runs are made with verl's v1 trainer"),
    "trainer.v1.trainer_mode": ("sync", "runs are made with verl's synchronous trainer"),
    "critic.enable": (None, "no method here has a critic"),
    "distillation.enabled": (False, "distillation is not made here"),
}
WHOLE = (
    *(
        "data.train_size",
        "data.id_size",
        "data.dev_size",
        "data.ood_size",
        "data.generator_seed",
        "trainer.total_training_steps",
    ),
    *("trainer.test_freq", "trainer.save_freq", "trainer.total_epochs"),
)
NUMBERS = (
    *("actor_rollout_ref.actor.optim.lr", "actor_rollout_ref.actor.optim.weight_decay", "algorithm.gamma"),
    *("actor_rollout_ref.rollout.temperature", "actor_rollout_ref.rollout.top_p"),
)
TEXTS = ("model.path", "data.name", "run_root", "data.template")


def check_keys(config: ConfigView) -> None:
    """Raise UserError for the first key that would be replaced, ignored, or is of the wrong kind."""
    for message in _problems(config):
        raise UserError(message)


def _filled(default: object, config: ConfigView) -> object:
    """verl's default with the values that it refers to."""
    if not isinstance(default, str):
        return default
    return re.sub(r"\$\{([\w.]+)\}", lambda match: str(config.select(match[1])), default)


def _problems(config: ConfigView) -> Iterator[str]:
    defaults = verl_defaults()
    for key, remedy in DECIDED.items():
        if config.select(key) != _filled(defaults.get(key), config):
            yield f"{key}={config.select(key)}: {remedy}"
    for key, (value, why) in ONLY.items():
        if key in config and config.select(key) != value:
            yield f"{key}={config.select(key)}: {why}; leave it at {value}"
    for keys, kinds, words in (
        (WHOLE, (int,), "a whole number"),
        (NUMBERS, (int, float), "a number"),
        (TEXTS, (str,), "text"),
    ):
        for key in keys:
            value = config.select(key)
            if value is not None and (isinstance(value, bool) or not isinstance(value, kinds)):
                yield f"{key}={value}: must be {words}"
    for key in ("model.path", "run_root"):
        if not config.select(key):
            yield f"{key}={config.select(key)}: must be a path"
    estimator = config.select("algorithm.adv_estimator")
    if config.select("algorithm.norm_adv_by_std_in_grpo") is False and estimator != "grpo":
        yield f"algorithm.norm_adv_by_std_in_grpo=false: not read by {estimator}; take algo=dr_grpo"
    if estimator == "gapo" and config.select("algorithm.gapo") is None:
        yield "algorithm.adv_estimator=gapo: without its settings; take algo=gapo_grpo or algo=gapo_dapo"
    if estimator == "gapo" and config.select("actor_rollout_ref.rollout.n") == 1:
        yield "actor_rollout_ref.rollout.n=1: gapo compares the rollouts of a group; give at least 2"
