"""Words to configuration: Hydra over `conf/` and over verl's own tree, found where verl is installed.

Importing verl takes a quarter of a minute; finding its folder takes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gapo_lab.config import attention, base_configs, search_path
from gapo_lab.config.override_caret import with_caret
from gapo_lab.config.search_path import verl_config_folder
from gapo_lab.errors import UserError
from gapo_lab.paths import NANO, PACKAGE
from gapo_lab.runs.checkpoints import default_keep
from gapo_lab.utils.dotted import flatten
from gapo_lab.utils.key_names import did_you_mean

# How something of one's own is named, by group.
OWN = {
    "data": "Rows of your own: data=parquet data.train=FILE data.id=FILE",
    "reward": "A function of your own: reward=FILE.py:FUNCTION",
    "model": "A model of your own: model=FOLDER, or model=OWNER/NAME",
    "algo": "A method of your own: algo=FILE.py:FUNCTION",
}

# Of one command so many faults are looked for: each may take a quarter of a second.
MOST_FAULTS = 20

HELP = """python -m gapo_lab.run KEY=VALUE ...         one run
python -m gapo_lab.run -m KEY=A,B ...        a sweep: shows its plan, then starts what is missing
python -m gapo_lab plan KEY=A,B ...          the plan only
python -m gapo_lab --help                    all other commands: doctor, status, watch, logs, cancel, retry, ...

Overrides that choose a config file (and +sweep=NAME, one of sweeps/):
$APP_CONFIG_GROUPS
Overrides with a value: tau=0.5 noise=0 lora=0 seed=0 study=default run_root=runs keep=last on_finish=null, and
any key of verl, such as actor_rollout_ref.actor.optim.lr=1e-4. --cfg job shows all of them.
"""


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
    OmegaConf.register_new_resolver("gapo_lab.help", lambda: HELP, replace=True)
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


def _nano_folder(data: str) -> str:
    return str(NANO / {"lists": "lists_checkpoint", "micro_blocks": "blocks_checkpoint"}.get(data, "checkpoint"))


def _smollm2_folder() -> str:
    from gapo_lab.models.smollm2 import folder

    return str(folder())


def compose_run(overrides: Sequence[str], hydra: bool = False) -> DictConfig:
    """Return the whole configuration of one run, on request with Hydra's own node, as config files set it.

    Raises UserError, one line, for a word that does not exist.
    """
    register()
    search_path.refuse_shadowed(overrides)
    try:
        return base_configs.compose(overrides, hydra)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError("\n".join(all_faults(error, overrides))) from error


def all_faults(error: Exception, overrides: Sequence[str]) -> list[str]:
    """Return a line for each word that Hydra refuses: what it said first, and what it says without the words it
    spoke of."""
    left, found = list(overrides), [explain(error)]
    while (wrong := _culprits(error, left)) and len(found) < MOST_FAULTS:
        left = [word for word in left if word not in wrong]
        try:
            base_configs.compose(left)
            break
        except (HydraException, OmegaConfBaseException) as another:
            error = another
            found.append(explain(error))
    return list(dict.fromkeys(found))


def _culprits(error: Exception, words: Sequence[str]) -> list[str]:
    """Return the words that an error of Hydra's speaks of; [] where that is not known."""
    text = str(error)
    if isinstance(error, OverrideParseException):
        return [word for word in words if word == error.override]
    if found := re.search(r"Could not (?:override|append|delete)[^']*'([^']+)'", text):
        return [word for word in words if word.partition("=")[0].lstrip("+~") == found.group(1)]
    if found := re.search(r"Could not find '([^'/]+)/([^']+)'", text):
        return [word for word in words if word.lstrip("+") == f"{found.group(1)}={found.group(2)}"]
    return []


def explain(error: Exception) -> str:
    """One line for an error of Hydra's: what was wrong, and the nearest thing that exists."""
    text = str(error)
    if (taken := re.search(r"Could not delete.*?'([^']+)'", text)) and taken.group(1) in known_keys():
        return f"~{taken.group(1)}: the value is null already. Leave the word out"
    if there := re.search(r"Could not append.*?already at '([^']+)'", text):
        return f"+{there.group(1)}: the key is there already. Leave the + out"
    if missing := re.search(r"Could not (?:override|append|delete).*?'([^']+)'", text):
        return unknown_key(missing.group(1))
    if missing := re.search(
        r"Could not find '([^']+)'\s*\n\s*Available options in '([^']+)':\s*\n(.*?)(?:\n\S|$)",
        text,
        re.DOTALL,
    ):
        group = missing.group(2)
        options = [name for name in missing.group(3).split() if f"{group}={name}" not in search_path.VERLS]
        word = missing.group(1).removeprefix(group + "/")
        said = f"{group}={word}: no such {group}{_nearest(word, options)}; there are: {', '.join(options)}"
        return f"{said}. {OWN[group]}" if group in OWN else said
    if several := re.search(r"Ambiguous value for argument '(.+?)'\s*\n", text):
        if several.group(1).startswith("+"):
            return f"{several.group(1)}: one at a time; what two sweeps share is one run"
        return f"{several.group(1)}: several values are a sweep: add -m after gapo_lab.run; a list is KEY=[a,b]"
    if isinstance(error, OverrideParseException):
        return unreadable(error.override, error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:3])[:400]


def unreadable(word: str, error: Exception) -> str:
    """One line for a word that Hydra's grammar refuses: what it stumbled over, and how to quote the value."""
    key, sign, value = word.partition("=")
    if value.startswith("choice(") and "NoneType" in str(error):
        return f"{word}: choice() takes no null. Write {key}={value[len('choice(') : -1]}"
    marked = with_caret(word)
    said = str(error).strip().partition("\n")[0] + (f" at the ^ of {marked}" if marked != word else "")
    quoted = f'{key}="{value}"'
    if sign and '"' not in value and _is_readable(quoted):
        return f"{word}: not a valid override ({said}). Keep the value whole by quotes inside quotes: '{quoted}'"
    return f"{word}: not a valid override ({said}). Write KEY=VALUE"


def _is_readable(word: str) -> bool:
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    return True


def unknown_key(key: str) -> str:
    """One line for a key that no configuration has."""
    if key == "sweep":
        return "sweep: is not in every run, so it is added: +sweep=NAME"
    leaves = known_keys()
    keys = sorted({*leaves, *(leaf.partition(".")[0] for leaf in leaves)})
    node = key.rpartition(".")[0]
    closed = node and any(leaf.rpartition(".")[0] == node for leaf in leaves)  # nobody would read a further one
    return f"{key}: no such key{_nearest(key, keys)}" + ("" if closed else f"; `+{key}=...` adds a new one")


def _nearest(word: str, options: Sequence[str]) -> str:
    near = did_you_mean(word, options)
    return f" ({near})" if near else ""


@cache
def known_keys() -> tuple[str, ...]:
    """Every key of the default configuration, dotted: verl's and ours. A folder of one's own changes none of them."""
    register()
    return tuple(sorted(flatten(OmegaConf.to_container(base_configs.compose([]), resolve=False))))


@cache
def verl_defaults() -> dict[str, object]:
    """verl's own settings, dotted; interpolations stand as they are written."""
    tree = OmegaConf.load(verl_config_folder() / "_generated_ppo_trainer.yaml")
    return flatten(OmegaConf.to_container(tree, resolve=False))
