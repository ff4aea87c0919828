"""Derive the symmetry of a model or environment and prove it.

This is :func:`check`, :func:`effective_group`, ``eqrl check`` and ``python -m eqrl.check``.
"""

import sys

from eqrl.commands.check import check, effective_group
from eqrl.commands.check_report import Report, print_report, write_json
from eqrl.commands.effective_report import EffectiveReport

__all__ = ["EffectiveReport", "Report", "check", "effective_group", "print_report", "write_json"]

if __name__ == "__main__":
    from eqrl.commands import main

    sys.exit(main(["check", *sys.argv[1:]]))
