"""What a run and its cell are called, everywhere: plan, status, live lines, SLURM, MLflow, reports. Pure.

A cell is the runs that differ only in their seed. Its id is a hash of the run key's content without the seed; its name
is the model, the method, tau, noise, and what else differs from the defaults: `nano grpo lr=1e-4 n=4`. Two cells may
share a name (two folders of weights with the same name), never an id: `cell_names` tells them apart.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from gapo_lab.utils.key_names import short

Spec = Mapping[str, Any]

# Models whose weights come with their name: with another model.path it is another model.
WITH_WEIGHTS = ("nano", "nano_large", "smollm2_135m")
# Config groups that a name may show, and what goes without saying.
USUAL = {"data": "micro", "recipe": "paper", "scale": "nano"}
# Keys that say where something is found: its content is in the run key, a name shows the folder's name.
PLACES = ("data.path", "data.repos", "data.ood_path")
LONGEST_TEXT = 40
# Before the digest of a file of the user's in a run's science.
CONTENT = "content "
# Where the science says what something is by its content, whose place a name shows.
BY_CONTENT = ("checkpoint", "data.content")


def cell_id(spec: Spec) -> str:
    """Return ten hex digits over the content of the run key without the seed."""
    content = {"model": spec.get("model"), "science": spec.get("science") or {}}
    return _hash(json.dumps(content, sort_keys=True, default=str))


def _hash(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:10]


def cell_name(spec: Spec, without: Collection[str] = ()) -> str:
    """Return the name of the run's cell: `qwen_coder_7b gapo_dapo tau=0.5 noise=0.1 lr=1e-4`.

    without: differences that are not shown, because a table says them once for all of its cells (``in_common``).
    """
    parts = [model_name(spec), str(spec.get("algo"))]
    if spec.get("tau") is not None:
        parts.append(f"tau={shown(spec['tau'])}")
    if noise_of(spec):
        parts.append(f"noise={shown(noise_of(spec))}")
    return " ".join([*parts, *(text for text in _texts(spec) if text not in without)])


def _texts(spec: Spec) -> list[str]:
    return [f"{label}={shown(value)}" for label, value in differs(spec).items()]


def in_common(specs: Iterable[Spec]) -> list[str]:
    """Return the differences from the defaults that all cells share, `greedy=false`; none of a single cell."""
    cells = {cell_id(spec): _texts(spec) for spec in specs}
    first, *others = cells.values() or [[]]
    return [text for text in first if all(text in other for other in others)] if others else []


def run_name(spec: Spec, without: Collection[str] = ()) -> str:
    """Return the name of the cell with the seed: `nano grpo lr=1e-4 seed=3`. without: as of ``cell_name``."""
    return f"{cell_name(spec, without)} seed={spec.get('seed')}"


def one_of_each(runs: Iterable[tuple[str, Callable[[], Spec]]]) -> dict[str, Spec]:
    """Return a spec of each cell by its id, from pairs of this id and what reads the spec: one that says what the cell
    is called, where there is one."""
    out: dict[str, Spec] = {}
    for cell, read in runs:
        if cell not in out:
            out[cell] = read()
        elif "differs" not in out[cell] and "differs" in (spec := read()):
            out[cell] = spec
    return out


def cell_names(specs: Iterable[Spec], without: Collection[str] = ()) -> dict[str, str]:
    """Return a name for each cell by its id; where two cells have the same, what tells them apart is added.

    without: as of ``cell_name``.
    """
    names: dict[str, str] = {}
    by_id: dict[str, Spec] = {}
    for spec in specs:
        one = cell_id(spec)
        by_id.setdefault(one, spec)
        # a run from before names were complete does not name the cell where a newer one does
        if one not in names or "differs" in spec:
            names[one] = cell_name(spec, without)
    shared: dict[str, list[str]] = {}
    for one, name in names.items():
        shared.setdefault(name, []).append(one)
    out = {}
    for one, name in names.items():
        others = shared[name]
        out[one] = f"{name} {_apart(one, others, by_id)}" if len(others) > 1 else name
    return out


def _apart(one: str, others: Collection[str], specs: Mapping[str, Spec]) -> str:
    """Return what tells a cell from others of its name: the one content that differs, else the beginning of its id."""
    sciences = {cell: specs[cell].get("science") or {} for cell in others}
    first, *rest = sciences.values()
    differ = {key for other in rest for key in {*first, *other} if first.get(key) != other.get(key)}
    texts = texts_by_key(specs[one])
    for key in differ if len(differ) == 1 else ():
        digests = [str(science.get(key)).removeprefix(CONTENT) for science in sciences.values()]
        if len(set(digests)) == len(digests) and (key in texts or key in BY_CONTENT):
            label = f"text({texts[key]})" if key in texts else key
            return f"{label}={beginning(str(sciences[one].get(key)).removeprefix(CONTENT), digests)}"
    return f"cell={beginning(one, others)}"


def texts_by_key(spec: Spec) -> dict[str, str]:
    """Return the names of the user's files whose text is in the run key, by the setting that names each."""
    given, science = given_overrides(spec), spec.get("science") or {}
    out = {}
    for key in (key for key, value in science.items() if str(value).startswith(CONTENT)):
        # reward=FILE.py:FUNCTION is a way to write it, too
        named = given.get(key) or given.get(key.partition(".")[0])
        out[key] = str(place_name(named.strip("'\""))).partition(":")[0] if named else short(key, science)
    return out


def texts(spec: Spec) -> list[str]:
    """Return the names of the user's files whose text is in the run key: `reward.py`."""
    return list(texts_by_key(spec).values())


def without_texts(spec: Spec) -> str:
    """Return a hash of what two runs share that differ in nothing but the text of the user's files."""
    texts = texts_by_key(spec)
    science = {key: value for key, value in (spec.get("science") or {}).items() if key not in texts}
    return f"{cell_id({**spec, 'science': {**science, 'texts': sorted(texts)}})} {spec.get('seed')}"


def beginning(one: str, others: Collection[str]) -> str:
    """Return the shortest beginning of a hash, of at least four digits, that no other of ``others`` has; a shorter text
    whole."""
    return next(
        one[:size]
        for size in range(min(4, len(one)), len(one) + 1)
        if size == len(one) or sum(other.startswith(one[:size]) for other in others) <= 1
    )


def noise_of(spec: Spec) -> float:
    """Return the share of training rollouts whose reward is an outlier."""
    return (spec.get("science") or {}).get("noise", 0)


def model_name(spec: Spec) -> str:
    """Return what the model is called: the name of the folder of weights that was given in place of its own."""
    if "weights" in spec:
        return str(spec["weights"])
    given = {} if "differs" in spec else given_overrides(spec)
    if spec.get("model") in WITH_WEIGHTS and "model.path" in given and "model.name" not in given:
        return weights_name(given["model.path"], (str(spec["model"]),), (spec.get("science") or {}).get("checkpoint"))
    return str(spec.get("model"))


def weights_name(path: str, taken: Collection[str] = (), checkpoint: object = "") -> str:
    """Return a model's name from the place of its weights; one that is ``taken`` gets a part of the checkpoint's
    hash."""
    parts = PurePosixPath(path).parts
    cached = next((part for part in parts if part.startswith("models--")), None)  # Hugging Face's cache
    name = cached.rpartition("--")[2] if cached else PurePosixPath(path).name
    name = re.sub(r"\s+", "_", name) or "model"
    if name not in taken:
        return name
    digest = str(checkpoint) if re.fullmatch(r"[0-9a-f]{12}", str(checkpoint)) else _hash(str(checkpoint))
    return f"{name}-{digest[:6]}"


def differs(spec: Spec) -> dict[str, object]:
    """Return what else differs from the defaults, by short name; from the overrides where the spec does not say it."""
    if "differs" in spec:
        return dict(spec["differs"] or {})
    given, science = given_overrides(spec), spec.get("science") or {}
    out: dict[str, object] = {}
    for group, usual in USUAL.items():
        value = spec.get("data") if group == "data" else given.get(group)
        if value not in (None, usual):
            out[group] = value
    if spec.get("scale") == "rehearsal":
        out["scale"] = "rehearsal"
    for key in (key for key in PLACES if key in given):
        out[key] = place_name(given[key].strip("[]").split(","))
    keys = {key for key in given if key in science and key != "noise"}
    own_tau = f"algorithm.{science.get('algorithm.adv_estimator')}.tau"
    if science.get(own_tau) == spec.get("tau"):
        keys.discard(own_tau)
    return out | dict(sorted((short(key, science), science[key]) for key in keys))


def given_overrides(spec: Spec) -> dict[str, str]:
    """Return the run's overrides, by key."""
    pairs = (str(one).lstrip("+").partition("=") for one in spec.get("overrides") or ())
    return {key: value for key, sign, value in pairs if sign}


def place_name(value: object) -> object:
    """Return the last part of a path; of each path of a list."""
    if isinstance(value, (list, tuple)):
        names = [place_name(one) for one in value]
        return names[0] if len(names) == 1 else names
    return PurePosixPath(str(value)).name or str(value)


def shown(value: object) -> str:
    """Return a value as a name shows it: six digits, `1e-4`, `true`, `null`, `[a,b]`, the last part of a path."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(shown, value))}]"
    text = json.dumps(value, sort_keys=True, default=str) if isinstance(value, Mapping) else str(value)
    text = text.rstrip("/").rpartition("/")[2] if "/" in text and not isinstance(value, Mapping) else text
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 3]}..."


def _number(value: float) -> str:
    if not math.isfinite(value) or value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:g}"
    digits, _, exponent = f"{value:.5e}".partition("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"


def text_of(value: Any) -> str:
    """Return a value as MLflow's parameters have it."""
    return f"{value:g}" if isinstance(value, float) else str(value)
