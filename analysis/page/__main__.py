"""`python -m analysis.page`."""

import sys

from analysis.page.command import main

if __name__ == "__main__":
    sys.exit(main())
