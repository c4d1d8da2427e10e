"""The run folder, the source of truth: what a run is called, how it went, what it left."""
