"""`python -m analysis.probe`."""

import sys

from analysis.probe.command import main

if __name__ == "__main__":
    sys.exit(main())
