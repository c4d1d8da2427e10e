"""A model of the user's own, `model=FOLDER` or `model=OWNER/NAME`: its settings, read from its files.

Nothing is fetched: a Hugging Face id is looked up in the local cache. torch and transformers are not imported.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from pathlib import Path
from typing import Any

from gapo_lab.errors import UserError
from gapo_lab.paths import CONF
from gapo_lab.runs import naming

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# A model up to here, in billions of parameters, can be trained without a GPU: SmolLM2-135M takes ten minutes a step.
LARGEST_ON_CPU = 0.2
# Above it the activations of a worker fill a small machine: they are computed again, and in smaller pieces.
TINY = 0.02
# Up to so many billions of parameters a model takes so many GPUs, as the shipped ones do.
GPUS = ((1.0, 1), (5.0, 4), (math.inf, 8))
LARGEST_TENSOR_PARALLEL = 4
# Tokens a GPU in one pass: the released scripts', and half of that above ten billion parameters.
TOKENS_ON_GPU, TOKENS_ON_GPU_LARGE, LARGE = 5120, 2560, 10.0


def model_of(word: str) -> dict[str, Any] | None:
    """Return the config file of such a word; None for a word that is no folder and no id.

    Raises UserError, one line, where there is no model or it cannot be trained as it is.
    """
    path = Path(word).expanduser()
    if not ("/" in word or word in (".", "..") or (path / "config.json").is_file()):
        return None
    is_folder = path.is_dir()
    if not is_folder and word.startswith(("/", ".", "~")):
        raise UserError(f"model={word}: no such folder. Give the folder of a model, or its Hugging Face id OWNER/NAME")
    folder = path if is_folder else cached(word)
    said = _read(word, folder / "config.json")
    text = said.get("text_config", said)
    sizes = _sizes(word, text)
    template = _template(folder)
    if template is None:
        raise UserError(
            f"model={word}: its tokenizer has no chat template. Put one into the folder as chat_template.jinja"
        )
    billions = _parameters(folder, sizes, _is_tied(said)) / 1e9
    on_cpu = billions <= LARGEST_ON_CPU
    settings = {
        "name": _name(word, folder, is_folder),
        "path": str(folder.absolute()) if is_folder else word,
        "family": str(said.get("model_type") or "unknown"),
        "tied": _is_tied(said),
        "billions": float(f"{billions:.3g}"),
        **{name: sizes[name] for name in ("layers", "hidden", "feed_forward", "vocabulary", "kv_heads", "head_size")},
        "cpu": on_cpu,
        **_cut(billions, sizes),
        **_lengths(billions, int(text.get("max_position_embeddings") or 1 << 20)),
        "chat_template_kwargs": {"enable_thinking": False} if "enable_thinking" in template else {},
        "system_role": _has_system_turn(template),
    }
    if not on_cpu:
        return {"defaults": ["_self_", {"override /backend": "vllm"}, {"override /scale": "paper"}], "model": settings}
    if billions > TINY:
        return {"model": settings, "actor_rollout_ref": {"model": {"enable_gradient_checkpointing": True}}}
    return {"model": settings}


def cached(word: str, key: str = "model") -> Path:
    """Return the folder of a Hugging Face id in the local cache. UserError, of the setting ``key``, where it is not."""
    if not _ID.fullmatch(word):
        raise UserError(f"{key}={word}: no such folder, and no Hugging Face id (OWNER/NAME). Give one of the two")
    if (found := _in_cache(word)) is None:
        raise UserError(
            f"{key}={word}: no such folder, and not in the cache of Hugging Face. Fetch it where there is a network: "
            f"hf download {word}; or give the folder of a copy, {key}=FOLDER"
        )
    return found


def is_here(path: str) -> bool:
    """Whether a model's path is a folder, which is checked elsewhere, or a Hugging Face id in the local cache."""
    return not _ID.fullmatch(path) or Path(path).is_dir() or _in_cache(path) is not None


def _in_cache(word: str) -> Path | None:
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    place = cache / f"models--{word.replace('/', '--')}"
    main = place / "refs" / "main"
    found = place / "snapshots" / main.read_text(encoding="utf-8").strip() if main.is_file() else None
    return found if found and (found / "config.json").is_file() else None


def _read(word: str, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"model={word}: no model there (no config.json). Give the folder that holds it") from error
    except ValueError as error:
        raise UserError(f"model={word}: its config.json is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise UserError(
            f"model={word}: its config.json is not that of a model. Give a folder that transformers can read"
        )
    return found


def _sizes(word: str, said: dict[str, Any]) -> dict[str, int]:
    names = {"layers": "num_hidden_layers", "hidden": "hidden_size", "vocabulary": "vocab_size"}
    names |= {"heads": "num_attention_heads", "feed_forward": "intermediate_size"}
    if lacking := [key for key in names.values() if not isinstance(said.get(key), int)]:
        raise UserError(
            f"model={word}: its config.json does not say {', '.join(lacking)}. Write a file ./conf/model/NAME.yaml "
            "with the settings of model=smollm2_135m"
        )
    sizes = {name: said[key] for name, key in names.items()}
    sizes["kv_heads"] = said.get("num_key_value_heads") or sizes["heads"]
    sizes["head_size"] = said.get("head_dim") or sizes["hidden"] // sizes["heads"]
    return sizes


def _is_tied(said: dict[str, Any]) -> bool:
    return bool(said.get("tie_word_embeddings", said.get("text_config", {}).get("tie_word_embeddings", True)))


def _parameters(folder: Path, sizes: dict[str, int], is_tied: bool) -> int:
    """Return the number of parameters: counted in the weights where these lie here, else from the sizes of its
    layers."""
    files = sorted(folder.glob("*.safetensors"))
    if files:
        return sum(_counted(path) for path in files)
    hidden, width = sizes["hidden"], sizes["head_size"]
    attention = 2 * hidden * width * (sizes["heads"] + sizes["kv_heads"])
    layer = attention + 3 * hidden * sizes["feed_forward"] + 2 * hidden
    return sizes["layers"] * layer + hidden + sizes["vocabulary"] * hidden * (1 if is_tied else 2)


def _counted(path: Path) -> int:
    """Return the numbers in a safetensors file, from its head."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            head = json.loads(file.read(size) if size < path.stat().st_size else b"")
        return sum(math.prod(one["shape"]) for name, one in head.items() if name != "__metadata__")
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"model={path.parent}: {path.name} holds no weights: its download was cut off, or it only names them (Git "
            "LFS). Fetch it again"
        ) from error


def _cut(billions: float, sizes: dict[str, int]) -> dict[str, Any]:
    """GPUs of a run, and how a copy and a sequence are cut over them: the heads must divide."""
    gpus = next(count for largest, count in GPUS if billions <= largest)
    return {
        "gpus": gpus,
        "tensor_parallel": math.gcd(math.gcd(max(1, gpus // 2), LARGEST_TENSOR_PARALLEL), sizes["kv_heads"]),
        "ulysses": math.gcd(math.gcd(gpus, 4), sizes["heads"]),
    }


def _lengths(billions: float, positions: int) -> dict[str, Any]:
    """Limits in tokens that fit its positions, a fifth of them for the answer; and tokens in one pass."""
    if billions <= LARGEST_ON_CPU:
        prompt, answer, tokens = 768, 128, 1024 if billions > TINY else 32768
    else:
        prompt, answer, tokens = 4096, 1024, TOKENS_ON_GPU if billions < LARGE else TOKENS_ON_GPU_LARGE
    answer = min(answer, positions // 5)
    return {
        "max_tokens_per_gpu": tokens,
        "gradient_checkpointing": False,
        "max_prompt_length": min(prompt, positions - answer),
        "max_response_length": answer,
    }


def _template(folder: Path) -> str | None:
    """Return the chat template: a file of its own, or in the tokenizer's configuration; None where there is none."""
    if (path := folder / "chat_template.jinja").is_file():
        return path.read_text(encoding="utf-8")
    path = folder / "tokenizer_config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8")).get("chat_template") if path.is_file() else None
    except ValueError:
        return None
    if isinstance(found, list):  # several, by name
        found = next((one.get("template") for one in found if one.get("name") == "default"), None)
    return found if isinstance(found, str) else None


def _has_system_turn(template: str) -> bool:
    """Whether the template shows a system turn; one that refuses or drops it has none."""
    from jinja2.exceptions import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise TemplateError(message)

    def generation(text: str) -> str:
        return re.sub(r"{%-?\s*(end)?generation\s*-?%}", "", text)

    shown = "Answer-briefly"
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals |= {"raise_exception": refuse, "strftime_now": lambda form: "today"}
    turns = [{"role": "system", "content": shown}, {"role": "user", "content": "Hello"}]
    words = {
        "messages": turns,
        "add_generation_prompt": True,
        "bos_token": "",
        "eos_token": "",
        "enable_thinking": False,
    }
    try:
        return shown in environment.from_string(generation(template)).render(**words)
    except (TemplateError, TypeError, AttributeError, KeyError, ValueError):
        return False


def _name(word: str, folder: Path, is_folder: bool) -> str:
    """Its folder's name; where a shipped model is called so, with a part of the hash of its configuration."""
    found = naming.weights_name(str(folder.absolute()) if is_folder else word)
    if not (CONF / "model" / f"{found}.yaml").is_file():
        return found
    return f"{found}-{hashlib.sha256((folder / 'config.json').read_bytes()).hexdigest()[:6]}"
