"""`python -m minnow` is the command `minnow`."""

import sys

from minnow import main

if __name__ == "__main__":
    sys.exit(main())
