"""`python -m analysis.check`."""

import sys

from analysis.check.command import main

if __name__ == "__main__":
    sys.exit(main())
