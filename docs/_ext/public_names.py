"""References to public names lead to where they are described: ``eqrl.TypedBox`` to ``eqrl.symmetry.TypedBox``."""

from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import eqrl


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element) -> Any:
    """A link for a reference that Sphinx could not resolve, if it is a public name of eqrl."""
    name = str(node.get("reftarget", "")).removeprefix("eqrl.")
    if node.get("refdomain") != "py" or name not in eqrl.__all__:
        return None
    value = getattr(eqrl, name)
    canonical = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', name)}"
    python = env.domains.python_domain
    described = python.objects.get(canonical)
    if described is None or described.node_id == node.get("refid"):
        return None
    return python.resolve_xref(env, node["refdoc"], app.builder, "obj", canonical, node, content)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
