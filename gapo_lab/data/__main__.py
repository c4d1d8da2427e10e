"""``python -m gapo_lab.data``: mine histories, describe and check what came out."""

import sys

from gapo_lab.data.commands import main

if __name__ == "__main__":
    sys.exit(main())
