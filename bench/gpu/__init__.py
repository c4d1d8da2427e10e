"""A check of the GPU path in a few minutes: `python -m bench.gpu` (docs/bench.md, "The GPU check").

Each stage is a process of its own with a limit of its own. What it finds is written down as it comes, a JSON line each,
and a Markdown table of all lines is renewed after each stage. What a stage that failed or was late has found still
counts.
"""
