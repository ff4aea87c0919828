"""Show a run's agent live in a browser: ``eqrl watch`` or ``python -m eqrl.watch``."""

import sys

from eqrl.commands.watch import Options, run_command

__all__ = ["Options", "run_command"]

if __name__ == "__main__":
    from eqrl.commands import main

    sys.exit(main(["watch", *sys.argv[1:]]))
