"""Runs, curves and measurements, as every table and figure takes them."""
