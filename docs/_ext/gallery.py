"""The gallery: every picture in results/, under the title of the page of its numbers."""

import re
from os.path import relpath
from pathlib import Path

from pages_outside import DOCS, GENERATED, ROOT, pages, write
from sphinx.application import Sphinx

PICTURE = re.compile(r"!\[([^\]]+)\]\(([^)\s]+)\)")
PAGE = GENERATED / "gallery.md"
HEAD = """# Gallery

All figures of results. The page that each chapter links to has the numbers, and the script that made them.
"""


def gallery() -> str:
    """The page: a chapter for each folder of results."""
    captions = _captions()
    chapters = [HEAD]
    for file, page in sorted(pages().items()):
        pictures = sorted(file.parent.rglob("*.png")) if file.is_relative_to(ROOT / "results") else []
        if pictures:
            title = file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
            figures = "\n".join(_figure(picture, captions) for picture in pictures)
            link = relpath(page, PAGE.parent)
            chapters.append(f"## {title}\n\n[All numbers]({link})\n\n::::{{container}} gallery\n{figures}\n::::\n")
    return "\n".join(chapters)


def _figure(picture: Path, captions: dict[Path, str]) -> str:
    caption = captions.get(picture, picture.stem.replace("_", " "))
    return f":::{{figure}} {relpath(picture, PAGE.parent)}\n:alt: {caption}\n\n{caption}\n:::"


def _captions() -> dict[Path, str]:
    """What pages say under each picture: the longest text, where several pages show it."""
    captions: dict[Path, str] = {}
    for page in sorted([*pages(), *DOCS.glob("*.md")]):
        for text, link in PICTURE.findall(page.read_text(encoding="utf-8")):
            picture = (page.parent / link).resolve()
            captions[picture] = max(captions.get(picture, ""), text, key=len)
    return captions


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", lambda app: write(PAGE, gallery()))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
