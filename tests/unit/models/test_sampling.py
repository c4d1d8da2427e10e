"""The rollout server's sampling, against the model's own `generate` and against itself."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gapo_lab.models.sampling import SamplingParams, cut, sample
from gapo_lab.paths import NANO

# transformers and a model take seconds to load
pytestmark = pytest.mark.slow

CHECKPOINT = NANO / "checkpoint"


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(CHECKPOINT, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(CHECKPOINT)


@pytest.fixture(scope="module")
def prompts(tokenizer):
    from gapo_lab.data.micro.generator import generate
    from gapo_lab.data.tasks.prompt import messages

    return [
        tokenizer.apply_chat_template(messages(task), add_generation_prompt=True, tokenize=True, return_dict=False)
        for task in generate("id", 12)
    ]


def draw(model, tokenizer, prompts, n=1, seed=0, log_probs=False, **params):
    settings = SamplingParams(**{"max_new_tokens": 20, **params})
    return sample(model, prompts, n, settings, {tokenizer.eos_token_id}, tokenizer.pad_token_id, seed, log_probs)


def test_greedy_is_what_generate_says(model, tokenizer, prompts):
    answers, _ = draw(model, tokenizer, prompts, temperature=0)
    for prompt, answer in zip(prompts, answers, strict=True):
        theirs = model.generate(
            torch.tensor([prompt]),
            max_new_tokens=20,
            do_sample=False,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        assert answer == theirs[0, len(prompt) :].tolist()


def test_same_seed_same_answers_another_seed_others(model, tokenizer, prompts):
    first, again, other = (draw(model, tokenizer, prompts, n=4, seed=s)[0] for s in (1, 1, 2))
    assert first == again != other


def test_a_large_batch_is_cut_and_keeps_its_order(model, tokenizer, prompts, monkeypatch):
    whole, _ = draw(model, tokenizer, prompts, n=2, temperature=0)
    monkeypatch.setattr("gapo_lab.models.sampling.ROWS", 6)
    cut, likely = draw(model, tokenizer, prompts, n=2, temperature=0, log_probs=True)
    assert cut == whole and [len(row) for row in likely] == [len(row) for row in whole]


def test_answers_end_once(model, tokenizer, prompts):
    answers, _ = draw(model, tokenizer, prompts, n=4)
    assert len(answers) == 4 * len(prompts)
    for answer in answers:
        assert 1 <= len(answer) <= 20
        assert tokenizer.eos_token_id not in answer[:-1]


def test_log_probs_are_the_models(model, tokenizer, prompts):
    answers, likely = draw(model, tokenizer, prompts, n=2, log_probs=True)
    for i, (answer, ours) in enumerate(zip(answers, likely, strict=True)):
        prompt = prompts[i // 2]
        with torch.no_grad():
            logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        theirs = logits.log_softmax(-1)[range(len(answer)), answer]
        assert torch.allclose(torch.tensor(ours), theirs, atol=1e-4)


def test_rollouts_of_a_prompt_are_drawn_from_its_distribution(model, tokenizer, prompts):
    """The first token of many rollouts has the model's own frequencies."""
    answers, _ = draw(model, tokenizer, prompts[:1], n=4000, max_new_tokens=1)
    counts = torch.bincount(torch.tensor([a[0] for a in answers]), minlength=model.config.vocab_size) / 4000
    with torch.no_grad():
        wanted = model(torch.tensor([prompts[0]])).logits[0, -1].softmax(-1)
    assert (counts - wanted).abs().max() < 0.04


def test_top_k_and_top_p_cut():
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0]])

    def kept(**p):
        return torch.isfinite(cut(logits, SamplingParams(1, **p)))[0].tolist()

    assert kept(top_k=2) == [True, True, False, False]
    assert kept(top_p=0.5) == [True, False, False, False]
    assert kept(top_p=0.7) == [True, True, False, False]
    assert kept() == [True] * 4
