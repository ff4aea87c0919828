"""Chosen before anything imports MuJoCo: rendering tests need no display."""

import os
import signal

from eqrl.headless import choose_renderer

choose_renderer()

# pytest-xdist's processes ignore Ctrl-C, and a training that is started so respects that; tests of signals want the
# usual answer
if "PYTEST_XDIST_WORKER" in os.environ and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
