"""Without its extra, the room says in one line how to install it."""

import importlib
import sys

import pytest

from eqrl.errors import UsageError


def test_the_extra_is_named(monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == "rsl_rl" or ".rsl_rl" in name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "rsl_rl", None)
    with pytest.raises(UsageError, match=r"eqrl\.engines\.rsl_rl needs .*pip install 'eqrl\[rsl-rl\]'") as error:
        importlib.import_module("eqrl.engines.rsl_rl")
    assert "\n" not in str(error.value)
