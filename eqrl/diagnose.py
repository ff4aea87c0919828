"""Tell what of a run's symmetry is exact, fitted or broken.

This is :func:`diagnose`, ``eqrl diagnose`` and ``python -m eqrl.diagnose``.
"""

import sys

from eqrl.commands.diagnose import diagnose
from eqrl.diagnostics import Diagnosis, draw

__all__ = ["Diagnosis", "diagnose", "draw"]

if __name__ == "__main__":
    from eqrl.commands import main

    sys.exit(main(["diagnose", *sys.argv[1:]]))
