"""The parent process of one run: starts the training job, shows it, ends it, records how it ended."""
