"""What follows from a probe, in sentences. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.paper import conventions
from analysis.probe.groups import Facts
from analysis.probe.methods import Found

# From these shares on, a sentence is worth reading.
MANY_FLAT = 0.3
LARGE_SHIFT = 0.1
MANY_HIGH = 0.25
MANY_ZERO = 0.2
LOST = 0.05  # of the cosine
SHIFTED = ("gapo_grpo", "gapo_dapo")  # whose shift is the paper's idea


def sentences(facts: Facts, found: Sequence[Found], noise: float) -> list[str]:
    """Return the main sentence first, then those of the other things that stand out."""
    every = (_flat(facts), _shift(found), _zero(found), _high(facts), _noise(found, noise))
    return [one for one in every if one] or ["Nothing stands out: few prompts are flat, and no method shifts much."]


def _flat(facts: Facts) -> str:
    if facts.flat < MANY_FLAT:
        return ""
    solved = f" ({facts.flat_best:.0%} have the highest reward throughout)" if facts.flat_best else ""
    return (
        f"All rewards are equal in {facts.flat:.0%} of the prompts{solved}, so no method learns from them: use dynamic "
        "sampling (algo=dapo or algo=gapo_dapo), or other prompts, before you compare estimators."
    )


def _shift(found: Sequence[Found]) -> str:
    shifted = [one for one in found if one.name in SHIFTED] or [one for one in found if one.name != "grpo"]
    if not shifted:
        return ""
    most = max(shifted, key=lambda one: one.of_shift)
    name = conventions.method(most.name)
    if most.of_shift < LARGE_SHIFT:
        return (
            f"{name} is nearly GRPO here: the shift is {most.of_shift:.1%} of its squared advantages. Expect small "
            "differences, and plan seeds for them."
        )
    way = "less" if most.shift < 0 else "more"
    return (
        f"The shift is {most.of_shift:.0%} of the squared advantages of {name}: it makes all answers of a prompt {way} "
        "likely on average, whatever their rewards. Compare it with its centred form (algo=gapo_centred) and with "
        "GRPO, each at its own learning rate."
    )


def _zero(found: Sequence[Found]) -> str:
    lost = [one for one in found if not math.isnan(one.best_zero) and one.best_zero >= MANY_ZERO]
    if not lost:
        return ""
    names = ", ".join(f"{conventions.method(one.name)} {one.best_zero:.0%}" for one in lost)
    return f"The best answers of a prompt often tie, and then get an advantage of exactly 0. Share of them: {names}."


def _high(facts: Facts) -> str:
    if facts.kinds["right-skewed"] < MANY_HIGH:
        return ""
    return (
        f"In {facts.kinds['right-skewed']:.0%} of the prompts a few rewards lie far above the rest. Read some of these "
        "answers: right ones are what a method should learn from, wrong ones are what robust methods are made for."
    )


def _noise(found: Sequence[Found], noise: float) -> str:
    base = next((one for one in found if one.name == "grpo"), None)
    others = [one for one in found if one.name != "grpo" and not math.isnan(one.noisy)]
    if base is None or not others:
        return ""
    best = max(others, key=lambda one: one.noisy)
    if best.noisy < base.noisy + LOST:
        return (
            f"With {noise:.0%} outliers no method here keeps the direction of the true gradient clearly better than "
            f"GRPO (cosine {base.noisy:.2f}, the best of the others {best.noisy:.2f})."
        )
    return (
        f"With {noise:.0%} outliers {conventions.method(best.name)} keeps the direction of the true gradient best "
        f"(cosine {best.noisy:.2f}, GRPO {base.noisy:.2f}): try it with noise={noise:g}."
    )
