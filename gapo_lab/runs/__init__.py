"""The run folder, the source of truth, and what can be read from it."""
