"""Overrides to configuration, with Hydra."""
