"""How likely the actor gives the truths: what the model by itself says, through whatever is around it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lab import REPO

from gapo_lab.models import likelihood
from gapo_lab.utils.import_path import importing_from

TEMPERATURES = (1.0, 0.5)


class Around(torch.nn.Module):
    """As an adapter or FSDP: a module that holds the model and calls it."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.inner = model

    def forward(self, **inputs):
        return self.inner(attention_mask=None, **inputs)


def test_it_is_the_models_own_likelihood_and_the_model_stays_as_it_was():
    from transformers import AutoModelForCausalLM

    from gapo_lab.paths import NANO
    from gapo_lab.training.shared_model import answering

    model = AutoModelForCausalLM.from_pretrained(NANO / "checkpoint", dtype=torch.float32).eval()
    prompts, answers = [[5, 6, 7], [9, 8, 7, 6, 5]], [[11, 12], [13]]
    before = model(input_ids=torch.tensor([prompts[0]])).logits
    with answering(Around(model)) as network:
        found = likelihood.sums(network, list(zip(prompts, answers, strict=True)), TEMPERATURES, 0, "cpu")
    assert torch.equal(model(input_ids=torch.tensor([prompts[0]])).logits, before)
    alone = likelihood.log_likelihoods(model, prompts, answers, TEMPERATURES, pad_id=0)
    for values, temperature in zip(found, TEMPERATURES, strict=True):
        assert values.tolist() == pytest.approx(alone[temperature], abs=1e-6)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 8), st.integers(1, 100))
def test_every_worker_has_as_many_passes_and_every_row_is_in_one(lengths, workers, tokens):
    from gapo_lab.training.shared_model import share

    batches = likelihood.batches(lengths, tokens)
    assert sorted(row for part in batches for row in part) == list(range(len(lengths)))
    assert all(len(part) == 1 or len(part) * max(lengths[i] for i in part) <= tokens for part in batches)
    shares = [share(batches, rank, workers) for rank in range(workers)]
    assert len({len(one) for one in shares}) == 1
    assert {row for one in shares for part in one for row in part} == set(range(len(lengths)))


@pytest.mark.slow
def test_workers_whose_answers_are_of_unlike_length_do_not_wait_for_each_other(tmp_path):
    """FSDP2 wraps an untied output layer by itself: a worker that calls it more often than another waits for ever."""
    script = REPO / "tests" / "support" / "two_workers.py"
    words = [sys.executable, str(script)]
    environment = {**os.environ, **importing_from(REPO)}
    both = [
        subprocess.Popen([*words, str(rank), str(tmp_path)], env=environment, stderr=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    try:
        for process in both:
            _, said = process.communicate(timeout=600)
            assert process.returncode == 0, said
    finally:
        for process in both:
            process.kill()
    told = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    found = dict(pair for one in told for pair in one["found"])
    for place, temperature in enumerate(TEMPERATURES):
        values = [found[row][place] for row in sorted(found)]
        assert values == pytest.approx(told[0]["wanted"][place], abs=1e-4), temperature
