"""GAPO Lab: compare advantage estimators for code RL with the real verl trainer."""

__version__ = "0.2.0"
