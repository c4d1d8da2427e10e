"""`python -m analysis.replay`."""

import sys

from analysis.replay.command import main

if __name__ == "__main__":
    sys.exit(main())
