"""The command line: one module for each command, and :func:`main` in front of them."""

from eqrl.commands.entry import main
from eqrl.commands.exit_codes import RESUME_ME

__all__ = ["RESUME_ME", "main"]
