"""``python -m gtn_fast``: the command line."""

import sys

from gtn_fast.cli import main

if __name__ == "__main__":
    sys.exit(main())
