"""Each tutorial runs as a notebook from top to bottom, and prints what its page says that it prints."""

import re
from pathlib import Path

import jupytext
import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "tutorials"
PAGES = sorted(FOLDER.glob("*.md"))
OUTPUT = re.compile(r"```\n(.*?)```", flags=re.S)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]\d+)?")


def cells(page):
    """The Python of a page, cell by cell, and the output that it shows: the fence right below, None without one."""
    notebook = jupytext.read(page).cells
    for number, cell in enumerate(notebook):
        if cell.cell_type == "code":
            below = notebook[number + 1].source if number + 1 < len(notebook) else ""
            shown = OUTPUT.match(below)
            yield cell.source, shown and shown[1]


def agree(printed, shown):
    """Whether words agree, and numbers roughly: how a training ends depends on the rounding of the machine."""
    pairs = zip(NUMBER.findall(printed), NUMBER.findall(shown), strict=False)
    return NUMBER.sub("#", printed) == NUMBER.sub("#", shown) and all(
        float(a) == pytest.approx(float(b), rel=0.5, abs=0.3) for a, b in pairs
    )


def test_the_tutorials_are_there():
    assert {page.stem for page in PAGES} >= {"first_agent", "your_environment", "your_robot", "breaking_symmetry"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_tutorial(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__tutorial__"}
    outputs = 0
    for number, (code, shown) in enumerate(cells(page)):
        exec(compile(code, f"{page.name}, cell {number + 1}", "exec"), names)
        printed = capsys.readouterr().out
        assert agree(printed, shown or ""), f"cell {number + 1} prints\n{printed}"
        outputs += shown is not None
    assert outputs >= 3


def test_a_wrong_output_is_seen():
    assert agree("success 0.95\n", "success 1.00\n")
    assert not agree("success 0.10\n", "success 1.00\n")
    assert not agree("failure 1.00\n", "success 1.00\n")
    assert not agree("", "success 1.00\n")
