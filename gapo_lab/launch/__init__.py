"""Turns a plan into processes on this machine or on SLURM, and follows them."""
