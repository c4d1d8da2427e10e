"""What the commands of `python -m gapo_lab` do, one function each."""
