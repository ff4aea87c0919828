"""Links between the pages of the project lead to files and headings that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "docs" / "generated"
FENCE = re.compile(r"^```.*?^```", flags=re.S | re.M)
CODE = re.compile(r"`[^`\n]+`")
HEADING = re.compile(r"^#+ +(.+?) *$", flags=re.M)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PAGES = sorted(
    page
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("results/**/*.md"))
    if not page.is_relative_to(GENERATED)
)


def text(page):
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page):
    """The anchors of a page's headings, as GitHub and the site make them."""
    titles = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in HEADING.findall(text(page))]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken(page):
    """Links of a page that lead nowhere."""
    for link in LINK.findall(CODE.sub("", text(page))):
        if not re.match(r"https?://|mailto:", link):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.is_file() or (anchor and anchor not in anchors(target)):
                yield link


def test_the_pages_are_there():
    names = {str(page.relative_to(ROOT)) for page in PAGES}
    assert {"README.md", "CONTRIBUTING.md", "docs/symmetry.md", "docs/environments/Push-v0.md"} <= names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    assert list(broken(page)) == []
    assert "@@" not in page.read_text(encoding="utf-8"), "a number is still to be written"


def test_broken_links_are_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One, `two`\n\n[a](#one-two) [b](https://there.org) [c](page.md#one-two)\n"
        "[d](#three) [e](no.md) [f](page.md#four)\n\n```\n[code](no.md)\n```\n\n`[code](no.md)`\n"
    )
    assert list(broken(page)) == ["#three", "no.md", "page.md#four"]
