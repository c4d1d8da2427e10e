"""The words of a verl launch script to the words here: what is kept, moved, dropped or added, and why. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from gapo_lab.config import moved_keys
from gapo_lab.config.known_keys import verl_defaults
from gapo_lab.errors import UserError
from gapo_lab.planning import ignored_keys
from gapo_lab.planning.ignored_keys import ACTOR, MODEL, REF, ROLLOUT
from gapo_lab.planning.verl_key_rules import DECIDED, NOT_RUN
from gapo_lab.utils.shell_command import Command

# Entries of verl's that train as its main_ppo does; others that train, and why they are not planned.
ENTRIES = ("main_ppo", "main_ppo_sync", "main_dapo")
OTHER_ENTRIES = ("fully_async_main", "fsdp_sft_trainer", "sft_trainer", "main_spin", "main_prime", "main_sppo")
# verl's losses and estimators -> algo=.
BY_LOSS = {"gspo": "gspo", "geo_mean": "gmpo", "cispo": "cispo"}
BY_ESTIMATOR = {
    "grpo": "grpo",
    "grpo_vectorized": "grpo",
    "rloo": "rloo",
    "rloo_vectorized": "rloo",
    "reinforce_plus_plus": "reinforce_pp",
    "opo": "opo",
    "grpo_passk": "grpo_passk",
    "gdpo": "gdpo",
}
# What verl scores with where a script names no reward: it asks data_source.
VERLS_REWARD = "verl.utils.reward_score:default_compute_score"
MOVED = {
    "data.train_files": "data.train",
    "data.val_files": "data.id",
    "data.trust_remote_code": f"{MODEL}.trust_remote_code",
    f"{ACTOR}.grad_clip": f"{ACTOR}.optim.clip_grad",
    f"{ACTOR}.use_fused_kernels": f"{MODEL}.use_fused_kernels",
    f"{ACTOR}.use_remove_padding": f"{MODEL}.use_remove_padding",
    **ignored_keys.TWINS,
    "algorithm.filter_groups.max_num_gen_batches": "trainer.v1.sampler.sampler_kwargs.max_refill_batches",
    "trainer.project_name": "study",
    f"{MODEL}.lora_rank": "lora",
    "trainer.nnodes": "cluster.nodes",
}
# Decided by the words that are added.
_ALGO = ("algorithm.adv_estimator", "algorithm.norm_adv_by_std_in_grpo")
_REWARD = tuple(f"{node}custom_reward_function.{name}" for node in ("", "reward.") for name in ("path", "name"))
# What lora= says to vLLM by itself.
_LORA = {f"{ROLLOUT}.load_format": "safetensors", f"{ROLLOUT}.layered_summon": "true"}
# verl's words for the number by which groups are filtered.
_SCORES = ("seq_reward", "seq_final_reward")


@dataclass
class Translation:
    """words: key -> value, of the command here. lines: what became of each word. open: what nobody can know."""

    words: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    added: set[str] = field(default_factory=set)

    def overrides(self) -> list[str]:
        return [f"{'++' if key in self.added else ''}{key}={value}" for key, value in self.words.items()]


def find_command(commands: Collection[Command]) -> Command:
    """Return the one command that trains, from its entry on. UserError where there is none, or several."""
    found = [Command(words, one.line, one.said) for one in commands for words in [_from_entry(one.words)] if words]
    if not found:
        raise UserError(f"no command that trains with verl: {' or '.join(ENTRIES)} behind python -m")
    if len(found) > 1:
        lines = ", ".join(str(one.line) for one in found)
        raise UserError(f"{len(found)} commands that train, on lines {lines}. Keep one of them in a copy of the file")
    entry = _entry(found[0].words[0])
    if entry not in ENTRIES or ".experimental." in found[0].words[0]:
        raise UserError(f"line {found[0].line}: {found[0].words[0]}: runs are made as by verl.trainer.main_ppo")
    return found[0]


def _from_entry(words: list[str]) -> list[str]:
    """Return what follows `-m`, or a file of that name; [] where nothing trains."""
    places = [at for at, word in enumerate(words) if _entry(word) in (*ENTRIES, *OTHER_ENTRIES)]
    return words[places[0] :] if places else []


def _entry(word: str) -> str:
    return word.removesuffix(".py").replace("/", ".").rpartition(".")[2] if re.fullmatch(r"[\w./-]+", word) else ""


def translate(command: Command, models: Mapping[str, str], here: Mapping[str, str] | None = None) -> Translation:
    """Return the words here of verl's.

    models: config name -> what it trains, `{"qwen3_4b": "Qwen/Qwen3-4B"}`.
    here: words of the user's own, which take the place of those of the script.
    """
    given, here = _Given(command), here or {}
    out = Translation(lines=list(given.lines))
    added: list[tuple[str, str, str]] = []
    added += _model(given, models) if "model" not in here else []
    added += [("algo", *_algo(given))] if "algo" not in here else []
    added.append(("recipe", "verl", "what the script is silent about is as in verl's examples"))
    added.append(("data", "parquet", "rows of your own"))
    added.append(("reward", *_reward(given)))
    out.words["algo"] = here.get("algo", "")
    for key, value, why in added:
        out.words[key] = value
        if key not in here:
            out.lines.append(f"added {command.shown(f'{key}={value}')}: {why}")
    for key, value in given.values.items():
        _one(key, value, given, out)
    out.words = {key: value for key, value in out.words.items() if key not in here}
    for key, value in out.words.items():
        if holes := command.holes(value):
            out.words[key] = "???"
            out.open.append(f"{holes[0]}: {key} cannot be known without running the script. Give {key}=VALUE")
    return out


_LOSS = f"{ACTOR}.policy_loss.loss_mode"


class _Given:
    """The settings of the script, the last one of each key; `lines` on what is no setting."""

    def __init__(self, command: Command) -> None:
        self.command, self.lines = command, []
        self.values: dict[str, str] = {}
        self.added: set[str] = set()
        words = iter(command.words[1:])
        for word in words:
            name, _, value = word.partition("=")
            if word.startswith("-"):
                if not value and name in ("--config-path", "--config-name", "--config-dir", "-cp", "-cn", "-cd"):
                    value = next(words, "")
                self.lines.append(f"dropped {name}={value}: the settings of that file are not read; verl's own are")
            elif (not value and "=" not in word) or word.startswith("~"):
                self.lines.append(f"dropped {command.shown(word)}: is no setting, KEY=VALUE")
            elif name.startswith("hydra"):
                self.lines.append(f"dropped {command.shown(word)}: Hydra's own; a run has its own folder")
            else:
                key = name.lstrip("+")
                self.values[key] = value
                if name.startswith("+"):
                    self.added.add(key)

    def get(self, key: str) -> str:
        return self.values.get(key, "").strip("'\"")

    def is_true(self, key: str) -> bool:
        return self.get(key).lower() == "true"


def _algo(given: _Given) -> tuple[str, str]:
    """Return the method, and the settings that say so."""
    estimator, loss = given.get("algorithm.adv_estimator") or "gae", given.get(_LOSS)
    said = f"algorithm.adv_estimator={estimator}"
    if estimator not in BY_ESTIMATOR:
        why = "no method here has a critic" if estimator == "gae" else "no such method here"
        raise UserError(f"{said}: {why}. Choose one: --from-verl FILE.sh algo=NAME")
    if BY_ESTIMATOR[estimator] != "grpo":
        return BY_ESTIMATOR[estimator], said
    if loss in BY_LOSS:
        return BY_LOSS[loss], f"{said}, {_LOSS}={loss}"
    if given.is_true("algorithm.filter_groups.enable"):
        return "dapo", f"{said}, algorithm.filter_groups.enable=true"
    if given.get("algorithm.norm_adv_by_std_in_grpo").lower() == "false":
        return "dr_grpo", f"{said}, algorithm.norm_adv_by_std_in_grpo=false"
    return "grpo", said


def _model(given: _Given, models: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    key = f"{MODEL}.path"
    path = given.get(key)
    if not path:
        raise UserError(f"{key}: the script names no model. Give one: --from-verl FILE.sh model=NAME")
    wanted = PurePosixPath(path).name.lower()
    for name, there in models.items():
        if PurePosixPath(there).name.lower() == wanted:
            yield "model", name, f"{key} is {there}"
            if path != there:
                yield "model.path", path, f"{key} is a copy of it"
            return
    yield "model", path, key


def _reward(given: _Given) -> tuple[str, str]:
    for node in ("", "reward."):
        if (path := given.get(f"{node}custom_reward_function.path")) and path != "null":
            name = given.get(f"{node}custom_reward_function.name")
            return f"{path}:{name}" if name else path, f"{node}custom_reward_function.path={path}"
    return VERLS_REWARD, "the script names no reward, and verl's own goes by data_source"


def _one(key: str, value: str, given: _Given, out: Translation) -> None:
    """Put one setting of the script where it belongs."""
    shown = given.command.shown(f"{key}={value}")
    plain = value.strip("'\"")
    if key == f"{MODEL}.path" or key in _ALGO or key in _REWARD:
        return  # told with what is added for it
    new = MOVED.get(key) or moved_keys.new_name(key)
    if key == "trainer.nnodes" and plain == "1":
        out.lines.append(f"dropped {shown}: a run has one node")
    elif key == "trainer.project_name" and not re.fullmatch(r"[\w][\w.-]*", plain):
        out.lines.append(f"dropped {shown}. Give study=NAME")
    elif key == f"{ACTOR}.clip_ratio":
        for end in ("low", "high"):
            out.words.setdefault(f"{key}_{end}", value)
        out.lines.append(f"moved {shown}: to {key}_low and {key}_high")
    elif key == f"{ACTOR}.use_token_level_loss":
        mode = "token-mean" if plain.lower() == "true" else "seq-mean-token-mean"
        out.words[f"{ACTOR}.loss_agg_mode"] = mode
        out.lines.append(f"moved {shown}: to {ACTOR}.loss_agg_mode={mode}")
    elif key == "algorithm.filter_groups.metric" and plain in _SCORES:
        out.words[key] = "score"
        out.lines.append(f"moved {shown}: to {key}=score, the reward before a penalty on its length")
    elif new:
        name = plain if key in ("trainer.project_name", "reward_model.reward_manager") else value
        if new == "reward.reward_manager.name" and name == ("dapo" if out.words["algo"] == "dapo" else "naive"):
            out.lines.append(f"dropped {shown}: algo={out.words['algo']} brings it")
            return
        _keep(new, name, given.added | ({key} if key.startswith("reward_model.") else set()), out, key)
        out.lines.append(f"moved {shown}: to {new}")
    elif why := _dropped(key, plain, given):
        out.lines.append(f"dropped {shown}: {why}")
    else:
        _keep(key, value, given.added, out, key)


def _keep(key: str, value: str, added: Collection[str], out: Translation, old: str) -> None:
    out.words[key] = value
    if (old in added or key.startswith("reward.reward_kwargs.")) and key not in verl_defaults():
        out.added.add(key)


def _dropped(key: str, value: str, given: _Given) -> str | None:
    """Why a setting is of no use here; None where it is kept."""
    if ".megatron." in key:
        return "read by Megatron only, and models are trained with FSDP2"
    if key in DECIDED:
        return DECIDED[key]
    if key in (f"{ACTOR}.strategy", f"{REF}.strategy", "critic.strategy"):
        return "models are trained with FSDP2"
    if key in (f"{ROLLOUT}.name", "trainer.device"):
        return NOT_RUN.get(value, "the backend brings it")
    if _LORA.get(key) == value.lower() and given.get(f"{MODEL}.lora_rank") not in ("", "0"):
        return "lora= brings it"
    if key == "trainer.logger":
        return "metrics are in the run folder and in MLflow"
    if key in ignored_keys.COUNTED and given.get(ignored_keys.COUNTED[key][0]).lower() != "false":
        return f"tokens are counted, not rows: {ignored_keys.COUNTED[key][1]}"
    if why := ignored_keys.ignored(key):
        return why
    known = verl_defaults()
    if key not in known and key not in given.added and not any(name.startswith(f"{key}.") for name in known):
        return "verl 0.9 has no such key"
    return None
