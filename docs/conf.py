"""The documentation site: ``python -m sphinx -W -b html docs build/docs`` after ``pip install .[docs]``."""

import importlib.metadata
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "eqrl"
author = "The eqrl authors"
copyright = author
release = importlib.metadata.version("eqrl")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.mermaid",
    "pages_outside",
    "gallery",
    "notebooks",
    "public_names",
    "signatures",
]
exclude_patterns = ["_*"]
highlight_language = "none"

# Pages are written for GitHub too, so its rules hold: anchors of headings, mathematics, diagrams.
myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_fence_as_directive = ["mermaid"]

autodoc_member_order = "groupwise"
maximum_signature_line_length = 100
python_use_unqualified_type_names = True
autodoc_default_options = {"members": True, "no-value": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes are described by their class, and not a second time by themselves
napoleon_attr_annotations = False

html_theme = "furo"
html_title = f"eqrl {release}"
html_static_path = ["_static"]
html_css_files = ["gallery.css"]
html_copy_source = False
