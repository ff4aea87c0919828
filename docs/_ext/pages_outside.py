"""Pages of the site that lie outside of docs/: the README is the first page, results and the changelog are others.

They are copied into ``docs/generated``, where Sphinx can see them. Links are written for GitHub, from file to file;
here they are led to the pages of the site.
"""

import re
from os.path import relpath
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
GENERATED = DOCS / "generated"
LINK = re.compile(r"\]\(([^)\s#:]+)(#[^)\s]*)?\)")


def pages() -> dict[Path, Path]:
    """The page of each Markdown file of the project outside of docs/."""
    results = {file: GENERATED / "results" / f"{file.parent.name}.md" for file in ROOT.glob("results/*/README.md")}
    return {
        ROOT / "README.md": DOCS / "index.md",
        ROOT / "CHANGELOG.md": GENERATED / "changelog.md",
        ROOT / "CONTRIBUTING.md": GENERATED / "contributing.md",
        **results,
    }


def with_links_of_the_site(text: str, file: Path, page: Path) -> str:
    """A text whose relative links hold on its page of the site.

    Args:
        text: Markdown with links that hold in ``file``.
        file: where the text lies.
        page: where Sphinx reads it.
    """
    outside = pages()

    def led(link: re.Match[str]) -> str:
        target = (file.parent / link[1]).resolve()
        if not target.is_file():
            return link[0]
        return f"]({relpath(outside.get(target, target), page.parent)}{link[2] or ''})"

    return LINK.sub(led, text)


def copy_pages(app: Sphinx) -> None:
    """Write the pages that are copies."""
    for file, page in pages().items():
        if page.is_relative_to(GENERATED):
            write(page, with_links_of_the_site(file.read_text(encoding="utf-8"), file, page))


def write(page: Path, text: str) -> None:
    """Write a generated page. What did not change keeps its time, so that Sphinx does not read it again."""
    if not page.is_file() or page.read_text(encoding="utf-8") != text:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")


def lead_links(app: Sphinx, docname: str, source: list[str]) -> None:
    """Lead the links of a page in docs/ to the site; the first page begins with the README."""
    page = Path(app.env.doc2path(docname))
    if page.is_relative_to(GENERATED) or page.suffix != ".md":
        return
    source[0] = with_links_of_the_site(source[0], page, page)
    if docname == app.config.root_doc:
        readme = ROOT / "README.md"
        source[0] = with_links_of_the_site(readme.read_text(encoding="utf-8"), readme, page) + source[0]


def note_readme(app: Sphinx, docname: str, source: list[str]) -> None:
    """Read the first page again when the README changes."""
    if docname == app.config.root_doc:
        app.env.note_dependency(str(ROOT / "README.md"))


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", copy_pages)
    app.connect("source-read", lead_links)
    app.connect("source-read", note_readme)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
