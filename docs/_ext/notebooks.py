"""Tutorials are Markdown; each can be downloaded from its page as a notebook for Jupyter."""

import jupytext
from pages_outside import DOCS, GENERATED, write
from sphinx.application import Sphinx

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def write_notebooks(app: Sphinx) -> None:
    """Convert all tutorials."""
    for page in sorted((DOCS / "tutorials").glob("*.md")):
        notebook = jupytext.read(page)
        notebook.metadata["kernelspec"] = KERNEL
        for number, cell in enumerate(notebook.cells):
            cell["id"] = f"cell-{number}"  # the same in each build
        write(GENERATED / "notebooks" / f"{page.stem}.ipynb", jupytext.writes(notebook, fmt="ipynb"))


def offer_notebook(app: Sphinx, docname: str, source: list[str]) -> None:
    """End each tutorial with the link to its notebook."""
    folder, _, name = docname.partition("/")
    if folder == "tutorials":
        source[0] += f"\n\n{{download}}`This page as a notebook <../generated/notebooks/{name}.ipynb>`\n"


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", write_notebooks)
    app.connect("source-read", offer_notebook)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
