"""How likely the actor gives the truths: what the model by itself says, through whatever is around it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gapo_lab.models import likelihood

pytestmark = pytest.mark.verl
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
    from gapo_lab.training.actor import answering

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
    from gapo_lab.training.actor import share

    batches = likelihood.batches(lengths, tokens)
    assert sorted(row for part in batches for row in part) == list(range(len(lengths)))
    assert all(len(part) == 1 or len(part) * max(lengths[i] for i in part) <= tokens for part in batches)
    shares = [share(batches, rank, workers) for rank in range(workers)]
    assert len({len(one) for one in shares}) == 1
    assert {row for one in shares for part in one for row in part} == set(range(len(lengths)))
