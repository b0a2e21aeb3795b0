"""`python -m minnow` is the command `minnow`."""

import sys

from minnow.cli import main

if __name__ == "__main__":
    sys.exit(main())
