"""Measurements of our code against what it stands beside: `python -m bench`, `make bench`.

Everything is a ratio of two things measured side by side in this process, so that it means the same on
another machine. A row is a function that returns `Row`s; add it to ROWS in `bench/__main__.py`.
"""
