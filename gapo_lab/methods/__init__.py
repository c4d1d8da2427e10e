"""Advantage estimators in pure torch: rewards (B,), groups (B,) -> advantages (B,)."""

from gapo_lab.methods.gapo import gapo, window_size
from gapo_lab.methods.grpo import grpo
from gapo_lab.methods.krpo import krpo
from gapo_lab.methods.qae import qae

__all__ = ["gapo", "grpo", "krpo", "qae", "window_size"]
