"""``python -m gapo_lab``: see, follow and copy runs. To start one: ``python -m gapo_lab.run``."""

import sys

from gapo_lab.cli.runs import main

if __name__ == "__main__":
    sys.exit(main())
