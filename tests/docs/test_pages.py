"""The Python in docs/ runs as it stands there; the blocks of a page share their names, as in a notebook."""

import re
from pathlib import Path

import gymnasium
import pytest

import eqrl

DOCS = Path(__file__).parents[2] / "docs"
ELSEWHERE = ("generated", "tutorials")  # copies; and test_tutorials.py
FENCE = re.compile(r"```python\n(.*?)```", flags=re.S)
PAGES = {
    str(page.relative_to(DOCS)): FENCE.findall(page.read_text(encoding="utf-8"))
    for page in sorted(DOCS.rglob("*.md"))
    if page.relative_to(DOCS).parts[0] not in ELSEWHERE
}
# pages about an extra that is not always installed
EXTRAS = {"scaling_rsl_rl.md": "rsl_rl"}
# long trainings are cut short, and nothing else is changed
STEPS = re.compile(r"\.learn\((\d[\d_]*)")


def test_the_pages_with_code_are_known():
    assert len(PAGES["drop_in.md"]) >= 6


@pytest.fixture
def registries():
    """Pages may register environments, which other tests in this process shall not meet."""
    before = dict(gymnasium.registry), dict(eqrl.ENVIRONMENTS)
    yield
    for registry, entries in zip((gymnasium.registry, eqrl.ENVIRONMENTS), before, strict=True):
        registry.clear()
        registry.update(entries)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # rsl_rl exports TorchScript
@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize("page", [name for name, blocks in PAGES.items() if blocks])
def test_page(page, tmp_path, monkeypatch):
    if page in EXTRAS:
        pytest.importorskip(EXTRAS[page])
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__docs__"}
    for number, block in enumerate(PAGES[page]):
        code = STEPS.sub(lambda m: f".learn({min(int(m[1].replace('_', '')), 260)}", block)
        exec(compile(code, f"{page}, block {number + 1}", "exec"), names)
