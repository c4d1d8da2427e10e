"""Our estimators on the device: equal to float64 on the host, without a synchronisation, timed beside verl's own."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

from bench.gpu.findings import Notebook
from bench.gpu.form import Form

ROLLOUTS, REPEATS = 8, 7
# (B, L) of the batches that are timed.
SIZES = {"cuda": ((256, 256), (4096, 1024), (4096, 5120)), "cpu": ((64, 64), (256, 256))}
# Differences that are rounding, by the dtype of the rewards.
MOST = {"float64": 1e-12, "float32": 1e-5}
# verl computes in the dtype of the rewards, float32.
SINGLE = 1e-3
MIB = 2**20


def run(form: Form, notebook: Notebook) -> None:
    """Numbers and synchronisations of every method, then times and memory beside verl's."""
    for name in _methods():
        _check_numbers(name, form.device, notebook)
        synced = synchronisations(name, form.device)
        notebook.found(f"{name}: waits of the host for the device in one call", synced, "0", synced == 0)
    _check_against_verl(form.device, notebook)
    for rows, tokens in SIZES[form.device]:
        _time_beside_verl(rows, tokens, form.device, notebook)


def _methods() -> list[str]:
    from gapo_lab.methods import ESTIMATORS

    return list(ESTIMATORS)


def _check_numbers(name: str, device: str, notebook: Notebook) -> None:
    """Against the same method in float64 on the host; on a CPU what differs is the dtype of the rewards."""
    import torch

    from gapo_lab.methods import ESTIMATORS

    rewards, groups, facts = _batch_for(name, 4096)
    exact = ESTIMATORS[name](rewards, groups, **facts)
    apart = []
    for dtype in MOST:
        found = ESTIMATORS[name](rewards.to(device, getattr(torch, dtype)), groups, **facts)
        apart.append(float((found.cpu().double() - exact).abs().max() / exact.abs().max().clamp(min=1)))
    notebook.found(
        f"{name} on {device}: largest difference from float64 on the host; rewards in {' and '.join(MOST)}",
        ", ".join(f"{each:.1e}" for each in apart),
        "at most " + ", ".join(f"{most:.0e}" for most in MOST.values()),
        all(each <= most for each, most in zip(apart, MOST.values(), strict=True)),
    )


def synchronisations(name: str, device: str) -> int:
    """How often the host waits for the device in one call.

    On a GPU torch counts; without one the batch lies on torch's `meta` device and `HostWaits` counts what would wait.
    """
    import torch

    from bench.host_waits import AWAY, HostWaits
    from gapo_lab.methods import ESTIMATORS

    rewards, groups, facts = _batch_for(name, 256)
    if device != "cuda":
        with HostWaits() as seen:
            ESTIMATORS[name](torch.empty_like(rewards, device=AWAY), groups, **facts)
        return len(seen.waits)
    there = rewards.to(device)
    ESTIMATORS[name](there, groups, **facts)  # what is loaded at the first call waits
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ESTIMATORS[name](there, groups, **facts)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(each.message) for each in caught)


def _batch_for(name: str, rows: int):
    """Rewards (B,) float64 in steps of 1/32, no group of which is all equal, groups (B,) shuffled, and what the method
    asks for."""
    import inspect

    import torch

    from gapo_lab.methods import ESTIMATORS

    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(rows, generator=generator)
    rewards = torch.rand(rows, generator=generator, dtype=torch.float64).mul(32).round().div(32)
    rewards[::ROLLOUTS], rewards[1::ROLLOUTS] = 0.0, 1.0
    groups = torch.arange(rows // ROLLOUTS).repeat_interleave(ROLLOUTS)
    asked = inspect.signature(ESTIMATORS[name]).parameters
    facts: dict[str, Any] = {}
    if "extras" in asked:
        item = torch.randint(-1, 5, (rows,), generator=generator).double()
        facts["extras"] = {
            "item": item,
            "choices": torch.full_like(item, 6),
            "em": (rewards == 1).double(),
            "similarity": rewards[order],
        }
    if "order" in asked:
        facts["order"] = torch.arange(rows) % ROLLOUTS
    if "draw" in asked:
        facts["draw"] = 7
    return rewards[order], groups[order], facts


def _check_against_verl(device: str, notebook: Notebook) -> None:
    """Where verl has the same method, registered as verl's: the same numbers."""
    from omegaconf import OmegaConf
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    import gapo_lab.training.registered_methods  # noqa: F401  registers ours

    batch = token_batch(512, 16, device)
    for norm in (True, False):
        config = OmegaConf.create({"exact_grpo": {"norm_by_std": norm}})
        ours = get_adv_estimator_fn("exact_grpo")(**batch, config=config)[0]
        for name in ("grpo", "grpo_vectorized"):
            theirs = get_adv_estimator_fn(name)(**batch, norm_adv_by_std_in_grpo=norm)[0]
            apart = float((ours - theirs).abs().max())
            scaled = f"{'divided' if norm else 'not divided'} by the standard deviation"
            what = f"our grpo against verl's {name}, {scaled}: largest difference"
            notebook.found(what, apart, f"at most {SINGLE:g}", apart <= SINGLE)


def _time_beside_verl(rows: int, tokens: int, device: str, notebook: Notebook) -> None:
    batch = token_batch(rows, tokens, device)
    seconds, size = {}, f"{rows} rollouts x {tokens} tokens"
    for name in ("gapo", "grpo_vectorized", "grpo"):
        seconds[name], memory = timed(name, batch)
        whose = "our" if name == "gapo" else "verl's"
        extra = f", {memory / MIB:.0f} MiB" if memory is not None else ""
        notebook.found(f"{whose} {name}, {size} on {device}: one call", f"{seconds[name] * 1e3:.3g} ms{extra}")
    for name in ("grpo_vectorized", "grpo"):
        what = f"time of our gapo / time of verl's {name}, {size} on {device}"
        notebook.found(what, seconds["gapo"] / seconds[name])
    if device != "cpu":  # where verl calls it
        on_host, _ = timed("gapo", token_batch(rows, tokens, "cpu"))
        notebook.found(f"our gapo, {size} on cpu: one call", f"{on_host * 1e3:.3g} ms")


def timed(name: str, batch: dict) -> tuple[float, int | None]:
    """Median seconds of one call of the estimator that verl knows by this name, and its peak of GPU memory in bytes
    beyond the batch; None on a CPU."""
    import torch
    from omegaconf import OmegaConf
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    import gapo_lab.training.registered_methods  # noqa: F401  registers ours

    call = get_adv_estimator_fn(name)
    config = OmegaConf.create({"gapo": {"tau": 0.5}})
    on_gpu = batch["token_level_rewards"].device.type == "cuda"
    finish: Callable[[], None] = torch.cuda.synchronize if on_gpu else lambda: None
    call(**batch, config=config)
    finish()
    before = torch.cuda.memory_allocated() if on_gpu else 0
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call(**batch, config=config)
        finish()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), torch.cuda.max_memory_allocated() - before if on_gpu else None


def token_batch(rows: int, tokens: int, device: str) -> dict:
    """Return what verl hands to an estimator: rewards and mask (B, L) on the device, a uid a row on the host."""
    import numpy as np
    import torch

    rewards, groups, _ = _batch_for("gapo", rows)
    scores = torch.zeros(rows, tokens)
    scores[:, -1] = rewards.float()
    uids = np.array([f"uid-{group}" for group in groups.tolist()], dtype=object)
    return {
        "token_level_rewards": scores.to(device),
        "response_mask": torch.ones(rows, tokens, dtype=torch.long, device=device),
        "index": uids,
    }
