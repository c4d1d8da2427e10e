"""The run folder, the source of truth about a run."""
