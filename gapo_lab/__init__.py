"""GAPO Lab: compare advantage estimators for code RL with the real verl trainer."""

__version__ = "0.1.0"
