"""How the site is put together: where links lead, what the gallery shows, which pages are copies."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture
def extensions(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    yield
    for name in ("pages_outside", "gallery", "notebooks"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("extensions")
@pytest.mark.parametrize(
    ("file", "link", "led"),
    [
        ("docs/results.md", "../results/zero_shot/README.md", "generated/results/zero_shot.md"),
        ("docs/results.md", "../results/fleet.json", "../results/fleet.json"),
        ("docs/benchmarks/sgrl.md", "../symmetry.md#typed-spaces", "../symmetry.md#typed-spaces"),
        ("docs/benchmarks/sgrl.md", "#mirror-images", "#mirror-images"),
        ("docs/benchmarks/sgrl.md", "https://e3nn.org", "https://e3nn.org"),
        ("docs/symmetry.md", "no_such_page.md", "no_such_page.md"),
    ],
)
def test_links_of_pages(file, link, led):
    from pages_outside import with_links_of_the_site

    page = ROOT / file
    assert with_links_of_the_site(f"see [it]({link}).", page, page) == f"see [it]({led})."


@pytest.mark.usefixtures("extensions")
def test_links_of_copies():
    from pages_outside import with_links_of_the_site

    text = "[a](CHANGELOG.md) [b](docs/symmetry.md#two-checks) ![c](results/fleet.json)"
    copy = DOCS / "generated" / "results" / "zero_shot.md"
    led = "[a](../changelog.md) [b](../../symmetry.md#two-checks) ![c](../../../results/fleet.json)"
    assert with_links_of_the_site(text, ROOT / "README.md", copy) == led


@pytest.mark.usefixtures("extensions")
def test_the_gallery_shows_all_figures_once():
    from gallery import PAGE, gallery

    shown = [line.split()[1] for line in gallery().splitlines() if line.startswith(":::{figure}")]
    figures = set(ROOT.glob("results/**/*.png"))
    assert len(figures) >= 10
    assert sorted((PAGE.parent / link).resolve() for link in shown) == sorted(figures)


def test_api_pages_are_of_rooms_that_say_what_is_public():
    import importlib

    rooms = {page.stem.replace("_", ".") for page in (DOCS / "api").glob("*.md")} - {"eqrl"}
    assert rooms >= {"symmetry", "nn", "agents", "envs", "envs.core", "declare", "derivation", "proof"}
    for room in rooms:
        module = importlib.import_module(f"eqrl.{room}")
        assert module.__all__
        assert f".. automodule:: eqrl.{room}\n" in (DOCS / "api" / f"{room.replace('.', '_')}.md").read_text()
