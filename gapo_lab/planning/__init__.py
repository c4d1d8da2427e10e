"""What would run, whether it is valid, and what it costs. Starts nothing."""
