"""Signatures with NumPy's short names of types, as they are written in the source."""

import re
from typing import Any

from sphinx.application import Sphinx

ARRAY = re.compile(r"~?numpy\.ndarray\[tuple\[~?typing\.Any, \.\.\.\], ~?numpy\.dtype\[~?([\w.]+)\]\]")


def shorten(app: Sphinx, what: str, name: str, value: Any, options: Any, signature: str, returns: str) -> Any:
    """Write arrays as ``NDArray`` in a signature and in what it returns."""
    return tuple(text and ARRAY.sub(r"~numpy.typing.NDArray[\1]", text) for text in (signature, returns))


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("autodoc-process-signature", shorten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
