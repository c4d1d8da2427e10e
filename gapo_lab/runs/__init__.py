"""The run folder: the source of truth of a run."""
