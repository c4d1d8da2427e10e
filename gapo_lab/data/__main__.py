"""``python -m gapo_lab.data``: mine histories, import data sets, describe and check what came out."""

import sys
from importlib import import_module

if __name__ == "__main__":
    # by name: no room imports what stands above it
    sys.exit(import_module("gapo_lab.cli.data").main())
