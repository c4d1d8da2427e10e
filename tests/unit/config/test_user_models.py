"""`model=FOLDER` and `model=OWNER/NAME`: what is read from a model's files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gapo_lab.config.compose import compose_run
from gapo_lab.config.fast_compose import Composer
from gapo_lab.errors import UserError
from gapo_lab.paths import NANO
from gapo_lab.planning import model_note
from gapo_lab.planning.differs_from_defaults import Namer
from gapo_lab.planning.plan import draft
from gapo_lab.planning.spec import make_spec, spec_of
from gapo_lab.planning.validation import check

TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{{ '' if enable_thinking else '<no>' }}"
# The config.json of Qwen2.5-Coder-7B-Instruct, as far as it is read.
QWEN = {
    "num_hidden_layers": 28,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "vocab_size": 152064,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": False,
}

SMALL = (
    "model mine: llama, 1.11M parameters, 4 layers of 160, chat template without a system turn, no thinking switch, "
    "small enough to train without a GPU. Each can be set: model.gpus=..."
)
BIG = (
    "model big: qwen2, 7.62B parameters, 28 layers of 3584, chat template with a system turn, thinking on, "
    "4 GPUs (vLLM cuts a copy over 4, training a sequence over 1). Each can be set: model.gpus=..."
)
THINKS = ("model.chat_template_kwargs={enable_thinking: true}", "model.ulysses=1")


def folder_of(place: Path, said: dict, template: str | None = TEMPLATE) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    (place / "config.json").write_text(json.dumps(said))
    (place / "tokenizer_config.json").write_text(json.dumps({"chat_template": template} if template else {}))
    (place / "tokenizer.json").write_text("{}")
    (place / "pytorch_model.bin").write_bytes(b"weights")
    return place


@pytest.fixture
def mine(tmp_path, monkeypatch) -> Path:
    shutil.copytree(NANO / "large_checkpoint", tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "mine"


def test_a_small_folder_trains_without_a_gpu_and_is_called_by_its_name(mine):
    composed = Composer().compose(["model=mine", "seed=0"])
    spec = Namer(Composer()).named(spec_of(composed.written, composed.resolved, ("model=mine", "seed=0")), composed)
    assert spec.model == "mine" and spec.name.startswith("mine gapo_grpo")
    config = compose_run(["model=./mine"])
    check(config)
    assert config.model.name == "mine" and config.model.cpu and config.model.path == str(mine)
    assert config.model.billions == pytest.approx(compose_run(["model=nano_large"]).model.billions, rel=0.05)
    assert (config.backend.name, config.scale.name) == ("cpu", "nano")
    assert config.model.max_prompt_length + config.model.max_response_length <= 256
    assert compose_run(["model=mine", "model.max_response_length=16"]).data.max_response_length == 16


@pytest.mark.parametrize(
    ("name", "says"), [("tokenizer.json", "has no tokenizer"), ("model.safetensors", "has no weights")]
)
def test_a_folder_without_one_of_its_files(mine, name, says):
    (mine / name).unlink()
    with pytest.raises(UserError, match=f"model.path=.*mine: {says}"):
        check(compose_run(["model=mine"]))


def test_weights_of_torchs_own_format_are_in_the_key(mine):
    folder = folder_of(mine.parent / "big", QWEN)
    before = make_spec(compose_run(["model=big"])).key
    (folder / "pytorch_model.bin").write_bytes(b"others.")
    assert make_spec(compose_run(["model=big"])).key != before


def test_places_that_need_quotes(mine):
    shutil.copytree(mine, mine.parent / "a b=c,ü")
    (mine.parent / "m =.py").write_text("def m(rewards, groups):\n    return rewards\n")
    (mine.parent / "r ,.py").write_text("def compute_score(**words):\n    return 1.0\n")
    (run,) = draft([('model="a b=c,ü"', 'algo="m =.py:m"', 'reward="r ,.py"', "data.ood_size=8", "seed=0")])
    assert run.spec, run.why


def test_its_content_is_in_the_key_and_its_place_is_not(mine):
    before = make_spec(compose_run(["model=mine"])).key
    shutil.copytree(mine, mine.parent / "there" / "mine")
    assert make_spec(compose_run(["model=there/mine"])).key == before
    with open(mine.parent / "there" / "mine" / "chat_template.jinja", "a") as file:
        file.write("\n")
    assert make_spec(compose_run(["model=there/mine"])).key != before


@pytest.mark.slow
def test_a_large_one_has_the_settings_of_the_shipped_model_of_its_shape(tmp_path):
    path = folder_of(tmp_path / "my-coder", QWEN)
    found, shipped = compose_run([f"model={path}"]), compose_run(["model=qwen_coder_7b"])
    for key in ("tied", "layers", "hidden", "feed_forward", "vocabulary", "kv_heads", "head_size", "cpu", "gpus"):
        assert found.model[key] == shipped.model[key], key
    for key in ("tensor_parallel", "ulysses", "max_tokens_per_gpu", "max_prompt_length", "max_response_length"):
        assert found.model[key] == shipped.model[key], key
    assert found.model.billions == pytest.approx(shipped.model.billions, rel=0.01)
    assert (found.backend.name, found.scale.name) == ("vllm", "paper")
    assert found.model.system_role and found.model.chat_template_kwargs == {"enable_thinking": False}
    with pytest.raises(UserError, match="model=my-coder has 7.62B parameters and cannot be trained without a GPU"):
        check(compose_run([f"model={path}", "backend=cpu"]))


@pytest.mark.parametrize(
    ("template", "has"),
    [
        ("{% if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}", False),
        ("{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}", False),
        ("{% for m in messages %}{{ m.content }}{% endfor %}{{ strftime_now('%d') }}", True),
    ],
)
def test_a_template_without_a_system_turn_is_seen(tmp_path, template, has):
    assert compose_run([f"model={folder_of(tmp_path / 'm', QWEN, template)}"]).model.system_role is has


def test_an_id_is_looked_up_in_the_cache_and_never_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        UserError, match="model=Some/Coder-7B: no such folder, and not in the cache .* hf download Some/"
    ):
        compose_run(["model=Some/Coder-7B"])
    place = tmp_path / "models--Some--Coder-7B"
    folder_of(place / "snapshots" / "abc", QWEN)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc")
    config = compose_run(["model=Some/Coder-7B"])
    assert (config.model.name, config.model.path) == ("Coder-7B", "Some/Coder-7B")
    assert config.actor_rollout_ref.model.path == "Some/Coder-7B"


@pytest.mark.parametrize(
    ("said", "template", "says"),
    [
        (None, None, "no such folder"),
        ({}, TEMPLATE, "does not say num_hidden_layers, hidden_size, vocab_size"),
        (QWEN, None, "its tokenizer has no chat template"),
    ],
)
def test_what_cannot_be_trained_is_told_in_one_line(tmp_path, said, template, says):
    path = tmp_path / "m" if said is None else folder_of(tmp_path / "m", said, template)
    with pytest.raises(UserError, match=says) as told:
        compose_run([f"model={path}"])
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "text", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"\x02\0\0\0\0\0\0\0{", b"\1\0"]
)
def test_weights_that_are_none_are_told_in_one_line(tmp_path, text):
    path = folder_of(tmp_path / "m", QWEN)
    (path / "model.safetensors").write_bytes(text)
    with pytest.raises(UserError, match="model.safetensors holds no weights.* Fetch it again"):
        compose_run([f"model={path}"])


def test_a_folder_with_the_name_of_a_shipped_model_has_another_name(mine):
    shutil.copytree(mine, mine.parent / "nano")
    assert compose_run([f"model={mine.parent / 'nano'}"]).model.name.startswith("nano-")
    with pytest.raises(UserError, match="would be read as model=nano, which comes with GAPO Lab. Give the whole path"):
        compose_run(["model=./nano"])


@pytest.mark.slow
def test_the_plan_says_what_was_read_and_what_was_set(mine, tmp_path):
    folder_of(tmp_path / "big", {**QWEN, "model_type": "qwen2"})
    composer = Composer()
    small = draft([("model=mine", "seed=0"), ("model=nano", "seed=0")], composer)
    big = draft([("model=./big", "cluster=slurm", "data=micro", "seed=0", "model.gpus=4", *THINKS)], composer)
    assert model_note.lines(small) == [SMALL] and model_note.lines(big) == [BIG]
