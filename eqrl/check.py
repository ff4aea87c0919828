"""Derive the symmetry of a model or environment and prove it.

This is :func:`check`, ``eqrl check`` and ``python -m eqrl.check``.
"""

import sys

from eqrl.commands.check import check
from eqrl.commands.check_report import Report, print_report, write_json

__all__ = ["Report", "check", "print_report", "write_json"]

if __name__ == "__main__":
    from eqrl.commands import main

    sys.exit(main(["check", *sys.argv[1:]]))
