"""One row a prompt computes what a row a rollout computes: log-probs, entropy, gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import examples

from gapo_lab.training.cpu.prefix_sharing import share_prompts

pytestmark = pytest.mark.verl

# (prompt, how many tokens each of its answers has), in an order that mixes the prompts
ROWS = st.lists(
    st.tuples(st.sampled_from([(5,), (5, 6), (5, 6, 7), (9, 8, 7, 6)]), st.integers(0, 5)),
    min_size=1,
    max_size=12,
)


def packed(rows) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows (prompt, answer) as tokens, offsets and answer lengths."""
    tokens = torch.tensor([t for prompt, answer in rows for t in (*prompt, *answer)])
    lengths = torch.tensor([len(prompt) + len(answer) for prompt, answer in rows])
    return (
        tokens,
        torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)]),
        torch.tensor([len(a) for _, a in rows]),
    )


@given(ROWS)
@examples(40)
def test_every_answer_token_sees_its_own_row_and_nothing_else(drawn):
    """By marking: each packed token holds its own number, so what a token sees can be named."""
    rows = [(prompt, range(100 * i, 100 * i + size)) for i, (prompt, size) in enumerate(drawn)]
    tokens, offsets, answers = packed(rows)
    shared = share_prompts(tokens, offsets, answers)
    assert len(shared.source) == len({prompt for prompt, _ in rows})
    width = shared.source.shape[1]
    places = dict(zip(shared.predicted_at.tolist(), shared.predicts.tolist(), strict=True))
    for start, end, answer in zip(offsets[:-1].tolist(), offsets[1:].tolist(), answers.tolist(), strict=True):
        for position in range(end - answer - 1, end - 1):  # the tokens that predict the answer's
            group, place = divmod(places.pop(position), width)
            seen = shared.source[group][shared.attention[group, 0, place]]
            assert tokens[seen].tolist() == tokens[start : position + 1].tolist()
    assert not places
    assert shared.attention.any(-1).all()  # padding sees itself: no row of the mask is empty


def test_long_answers_of_a_short_prompt_are_not_shared():
    """Eight answers side by side attend to each other's places: 4 times the pairs of eight rows, with fewer tokens."""
    short, long = ([((1,) * 30, range(2, 2 + size))] * 8 for size in (6, 60))
    assert [
        share_prompts(*packed(rows)).is_less(8, len(rows[0][0]) + len(rows[0][1]) - 1) for rows in (short, long)
    ] == [True, False]


@pytest.fixture(scope="module")
def engine():
    """Our engine's two methods over the shipped model, without FSDP."""
    import gapo_lab.training.verl_plugin  # noqa: F401

    from gapo_lab.training.cpu.engine import CpuFSDPEngine  # isort: skip
    from transformers import AutoModelForCausalLM
    from verl.models.transformers.dense_common import forward_with_torch_backend

    from gapo_lab.paths import NANO

    made = object.__new__(CpuFSDPEngine)
    made.module = AutoModelForCausalLM.from_pretrained(NANO / "checkpoint", attn_implementation="sdpa")
    made.run = lambda inputs: forward_with_torch_backend(made.module, **inputs, use_cache=False)
    made.use_ulysses_sp = made.pad_to_length = False
    return made


def micro_batch(groups: int, n: int):
    """Rows as verl gives them to a worker: answers of 1 to 9 tokens after prompts of 2 to 20."""
    from verl.utils import tensordict_utils as tu

    draw = torch.Generator().manual_seed(0)
    rows = []
    for _ in range(groups):
        prompt = torch.randint(3, 500, (int(torch.randint(2, 20, (1,), generator=draw)),), generator=draw).tolist()
        for _ in range(n):
            size = int(torch.randint(1, 10, (1,), generator=draw))
            rows.append((prompt, torch.randint(3, 500, (size,), generator=draw).tolist()))
    whole = [torch.tensor([*p, *a]) for p, a in rows]

    def jagged(parts):
        return torch.nested.as_nested_tensor(parts, layout=torch.jagged)

    return tu.get_tensordict(
        {
            "input_ids": jagged(whole),
            "position_ids": jagged([torch.arange(len(row)) for row in whole]),
            "responses": jagged([torch.tensor(a) for _, a in rows]),
            "prompts": jagged([torch.tensor(p) for p, _ in rows]),
        },
        {
            "use_remove_padding": False,
            "use_fused_kernels": True,
            "calculate_entropy": True,
            "temperature": 0.7,
        },
    )


def test_log_probs_entropy_and_gradients_are_those_of_verls_rows(engine):
    from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead
    from verl.workers.utils.padding import no_padding_2_padding

    batch, found = micro_batch(groups=3, n=4), []
    for kind in (type(engine), FSDPEngineWithLMHead):
        engine.module.zero_grad()
        inputs, args = kind.prepare_model_inputs(engine, batch)
        outputs = kind.prepare_model_outputs(engine, engine.run(inputs), args, batch, None)
        answers = {name: no_padding_2_padding(values, batch) for name, values in outputs.items()}
        (answers["log_probs"].sin().sum() + answers["log_probs"].square().sum()).backward()
        gradients = [p.grad.clone() for p in engine.module.parameters()]
        found.append((inputs["input_ids"].shape[0], answers, gradients))
    (ours, answers, gradients), (theirs, wanted, wanted_gradients) = found
    assert (ours, theirs) == (3, 12)
    assert set(answers) == set(wanted) == {"log_probs", "entropy"}
    for name, values in wanted.items():
        torch.testing.assert_close(answers[name], values, rtol=1e-4, atol=1e-5)
    for gradient, value in zip(gradients, wanted_gradients, strict=True):
        assert (gradient - value).norm() < 1e-4 * value.norm()  # of a sum's rounding single places may have more


@pytest.mark.parametrize(
    "other",
    [
        {"_attn_implementation": "eager"},
        {"sliding_window": 4096},
        {"layer_types": ["full_attention", "conv"]},
    ],
)
def test_a_model_that_would_read_the_mask_otherwise_is_left_to_verl(engine, monkeypatch, other):
    """Eager attention adds the mask to its scores: each token would see all others, and log-probs be off by nats."""
    for name, value in other.items():
        monkeypatch.setattr(engine.module.config, name, value, raising=False)
    assert engine.prepare_model_inputs(micro_batch(groups=3, n=4))[0]["attention_mask"].dim() == 2


def test_rows_that_share_nothing_are_left_to_verl(engine):
    batch = micro_batch(groups=4, n=1)
    assert engine.prepare_model_inputs(batch)[0]["attention_mask"].dim() == 2
