"""Options that Stable-Baselines3 refuses only in the middle of ``learn``, told apart from other errors."""

from __future__ import annotations

import dis

from eqrl.errors import UsageError

# these classes raise errors about the environment, not about an option
_OF_ENVIRONMENTS = ("stable_baselines3.common.monitor", "stable_baselines3.common.vec_env")


class RefusedInTraining(UsageError):
    """Stable-Baselines3 refused an option before the first update; its message is quoted with a fix."""


def refused(error: BaseException) -> bool:
    """Whether Stable-Baselines3 itself raised an error, rather than a function that it called.

    Args:
        error: the error, with its traceback.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    module = str(trace.tb_frame.f_globals.get("__name__", ""))
    if module.split(".")[0] not in ("stable_baselines3", "sb3_contrib") or module.startswith(_OF_ENVIRONMENTS):
        return False
    return trace.tb_frame.f_code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]
