"""GMPO's loss against its definition, and what must not change a gradient: how a mini-batch is cut."""

from __future__ import annotations

import math

import pytest
import torch

pytestmark = pytest.mark.verl

CUTS = ((12,), (6, 6), (1, 2, 3, 6), (1,) * 12)


@pytest.fixture(scope="module")
def registered():
    from verl.trainer.ppo.core_algos import get_policy_loss_fn

    import gapo_lab.training.registered_methods  # noqa: F401

    return get_policy_loss_fn


def batch(seed: int = 0, rows: int = 12, tokens: int = 9):
    """old log-probs, the step from them, advantages and a mask; one response is empty."""
    generator = torch.Generator().manual_seed(seed)
    old = -torch.rand(rows, tokens, generator=generator, dtype=torch.float64)
    step = torch.randn(rows, tokens, generator=generator, dtype=torch.float64) * 0.5
    lengths = torch.randint(1, tokens + 1, (rows,), generator=generator)
    lengths[3] = 0
    mask = (torch.arange(tokens) < lengths.unsqueeze(1)).long()
    advantages = torch.randn(rows, 1, generator=generator, dtype=torch.float64) * mask
    return old, step, advantages, mask


def config(tokens: int, rows: int, mode: str = "token-mean", dp_size: int = 1, **settings):
    from verl.workers.config import ActorConfig

    made = ActorConfig(
        strategy="fsdp2",
        rollout_n=1,
        ppo_micro_batch_size_per_gpu=1,
        clip_ratio_low=0.4,
        clip_ratio_high=0.4,
        loss_agg_mode=mode,
        **settings,
    )
    made.global_batch_info.update(
        dp_size=dp_size,
        batch_num_tokens=tokens,
        global_batch_size=rows,
        loss_scale_factor=made.loss_scale_factor,
    )
    return made


def gradient(loss, cut, mode="token-mean", trim=False, **settings):
    """The gradient with respect to the log-probs, added up over micro-batches of the sizes in `cut`."""
    old, step, advantages, mask = batch()
    log_prob = (old + step).requires_grad_()
    given = config(int(mask.sum()), len(mask), mode, **settings)
    start = 0
    for size in cut:
        rows = slice(start, start + size)
        # verl pads a micro-batch to its own longest response
        width = max(int(mask[rows].sum(dim=1).max()), 1) if trim else mask.shape[1]
        value, _ = loss(
            old_log_prob=old[rows, :width],
            log_prob=log_prob[rows, :width],
            advantages=advantages[rows, :width],
            response_mask=mask[rows, :width].bool(),
            loss_agg_mode=mode,
            config=given,
            rollout_is_weights=None,
        )
        value.backward()
        start += size
    return log_prob.grad


def reference(old, log_prob, advantages, mask, low=0.4, high=0.4):
    """GMPO's definition, a rollout and a token at a time."""
    losses = []
    for r in range(len(old)):
        tokens = [t for t in range(old.shape[1]) if mask[r, t]]
        if not tokens:
            losses.append(0.0)
            continue
        a, total = float(advantages[r, tokens[0]]), 0.0
        for t in tokens:
            ratio = float(log_prob[r, t] - old[r, t])
            total += min(ratio, high) if a > 0 else max(ratio, -low)
        losses.append(-a * math.exp(total / len(tokens)))
    return losses


@pytest.mark.parametrize("seed", range(5))
def test_gmpo_is_its_definition(seed):
    from gapo_lab.methods import gmpo

    old, step, advantages, mask = batch(seed)
    wanted = reference(old, old + step, advantages, mask)
    found = gmpo(old + step, old, advantages, mask, 0.4, 0.4)
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))


def test_gmpo_is_verls_geo_mean_where_nothing_is_cut(registered):
    old, step, advantages, mask = (part[:3] for part in batch())
    given = config(int(mask.sum()), 3)
    arguments = {
        "old_log_prob": old,
        "log_prob": old + step,
        "advantages": advantages,
        "response_mask": mask.bool(),
        "loss_agg_mode": "token-mean",
        "config": given,
        "rollout_is_weights": None,
    }
    (ours, our_metrics), (theirs, their_metrics) = (registered(n)(**arguments) for n in ("gmpo", "geo_mean"))
    torch.testing.assert_close(ours, theirs)
    assert set(our_metrics) == set(their_metrics)
    assert our_metrics["actor/ppo_kl"] == pytest.approx(their_metrics["actor/ppo_kl"])
    assert 0 < our_metrics["actor/pg_clipfrac"] <= 1


@pytest.mark.parametrize(
    ("name", "mode", "settings"),
    [
        ("gmpo", "token-mean", {}),
        ("vanilla", "token-mean", {}),
        ("gspo", "seq-mean-token-mean", {}),
        ("cispo", "token-mean", {}),
        ("vanilla", "seq-mean-token-sum-norm", {"loss_scale_factor": 9}),
    ],
)
def test_the_gradient_does_not_depend_on_how_a_mini_batch_is_cut(registered, name, mode, settings):
    whole = gradient(registered(name), CUTS[0], mode, **settings)
    assert whole.abs().sum() > 0
    for cut in CUTS[1:]:
        torch.testing.assert_close(gradient(registered(name), cut, mode, trim=True, **settings), whole)


def test_verls_own_geo_mean_depends_on_it(registered):
    """Why GMPO has a loss of ours: four micro-batches of equal size give four times the gradient."""
    whole, parts = (gradient(registered("geo_mean"), cut) for cut in ((12,), (3, 3, 3, 3)))
    torch.testing.assert_close(parts, 4 * whole)


def test_so_does_verls_dr_grpo_without_a_scale_factor(registered):
    """Why dr_grpo sets loss_scale_factor: else the sum is divided by a micro-batch's longest response."""
    mode = "seq-mean-token-sum-norm"
    whole, parts = (gradient(registered("vanilla"), cut, mode, trim=True) for cut in (CUTS[0], CUTS[-1]))
    assert (parts - whole).abs().max() > 0.1 * whole.abs().max()


def test_two_workers_give_the_gradient_of_one(registered):
    """verl averages gradients over workers; each holds half of the mini-batch."""
    old, step, advantages, mask = batch()
    whole = gradient(registered("gmpo"), (12,))
    log_prob = (old + step).requires_grad_()
    given = config(int(mask.sum()), 12, dp_size=2)
    for rows in (slice(0, 6), slice(6, 12)):
        value, _ = registered("gmpo")(
            old_log_prob=old[rows],
            log_prob=log_prob[rows],
            advantages=advantages[rows],
            response_mask=mask[rows].bool(),
            loss_agg_mode="",
            config=given,
            rollout_is_weights=None,
        )
        (value / 2).backward()
    torch.testing.assert_close(log_prob.grad, whole)


def test_importance_weights_are_refused(registered):
    old, step, advantages, mask = batch()
    with pytest.raises(ValueError, match="rollout_correction"):
        registered("gmpo")(old, old + step, advantages, mask.bool(), "", config(1, 12), torch.ones_like(old))
