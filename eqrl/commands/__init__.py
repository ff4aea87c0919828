"""The command line: one module for each command, and :func:`main`, which chooses among them."""

from eqrl.commands.entry import main
from eqrl.commands.exit_codes import RESUME_ME
from eqrl.commands.tables import print_table

__all__ = ["RESUME_ME", "main", "print_table"]
