"""The probe as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib

from analysis.figures import drawing, rewards
from analysis.probe import figures, tables
from analysis.probe.groups import Facts
from analysis.probe.methods import Found
from analysis.render import html
from analysis.results.group_rewards import Rewards
from gapo_lab.utils.plot_style import STYLE


def page(whose: str, recorded: Rewards, facts: Facts, found: Sequence[Found], said: Sequence[str], noise: float) -> str:
    """Return the page: what follows, the facts, the table of methods, and three figures.

    whose: follows "Rewards", such as `before training, nano on micro`.
    """
    members = recorded.members()
    with matplotlib.rc_context(STYLE):
        drawn = [*rewards.draw(members, whose), figures.cosines(found, noise)]
        pictures = [drawing.render(one) for one in drawn]
    return html.short_page(f"Rewards {whose}", said, rows(facts), tables.methods(found, noise), pictures)


def rows(facts: Facts) -> list[tuple[str, str]]:
    """Return the facts of the record as names and values."""
    kinds = ", ".join(f"{name} {share:.0%}" for name, share in facts.kinds.items())
    return [
        ("Rollouts", f"{facts.rollouts:,} of {facts.prompts:,} prompts"),
        ("Rewards", f"mean {facts.mean:.3f}; {facts.best:.1%} have the highest one, {facts.highest:g}"),
        ("Prompts", f"{kinds} (flat: all rewards equal; skewed: mean below or above the median by 0.02 and more)"),
        ("Ties", f"{facts.tied:.0%} of the rollouts have the reward of another of their prompt; flat prompts left out"),
        ("Skewness", f"{facts.skewness:+.2f}, a mean over prompts that are not flat"),
    ]
