"""``python -m eqrl`` is the ``eqrl`` command."""

import sys

from eqrl.commands import main

if __name__ == "__main__":
    sys.exit(main())
