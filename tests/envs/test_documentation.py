"""Documentation follows from declarations, and the committed pages are those that they give."""

import os
import re
import sys
from pathlib import Path

import imageio.v3 as imageio
import pytest
from ids import IDS

import eqrl
from eqrl.envs.core import documentation
from eqrl.envs.registration import task_class

ROOT = Path(__file__).parents[2]
TASKS = {env_id: task_class(eqrl.ENVIRONMENTS[env_id].task) for env_id in IDS}


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    sys.modules.pop("document_environments", None)
    import document_environments

    return document_environments


def test_the_committed_pages_are_current(script):
    pages = script.pages()
    assert set(pages) == {ROOT / "docs" / "environments.md", *(ROOT / "docs" / "environments").glob("*.md")}
    for page, text in pages.items():
        assert page.read_text(encoding="utf-8") == text, "run: python scripts/document_environments.py"


def test_each_environment_has_a_small_picture_and_no_other_is_there(script):
    names = {page.stem for page in script.pages() if page.parent.name == "environments"}
    pictures = {file.stem: file.stat().st_size for file in script.PICTURES.iterdir()}
    assert set(pictures) == names, "run: python scripts/document_environments.py"
    assert max(pictures.values()) <= 40_000


def test_a_page_without_a_picture_says_so(script, monkeypatch, tmp_path):
    monkeypatch.setattr(script, "PICTURES", tmp_path)
    for page, text in script.pages().items():
        assert ("There is no picture" in text) == (page.parent.name == "environments")
        assert "pictures/" not in text


def test_a_picture_shows_the_scene(script, tmp_path):
    file = tmp_path / "pictures" / "Reach-v0.jpg"
    try:
        script.draw("eqrl/Reach-v0", file)
    except RuntimeError as error:
        if os.environ.get("EQRL_REQUIRE_RENDERING") == "1":
            raise
        pytest.skip(str(error))
    picture = imageio.imread(file).astype(int)
    assert picture.shape == (script.HEIGHT, script.WIDTH, 3)
    red = (picture[..., 0] > 100 + picture[..., 1]) & (picture[..., 0] > 100 + picture[..., 2])
    assert red.any(), "the goal is a red ball"


@pytest.mark.parametrize("env_id", TASKS)
def test_tables_name_every_field_term_and_argument(env_id):
    task = TASKS[env_id]
    text = documentation(task)
    task = task if hasattr(task, "observation") else task()
    boxes = task.observation.values() if isinstance(task.observation, dict) else [task.observation]
    for field in (*task.action, *(f for fields in boxes for f in fields)):
        assert field.description, field.name
        assert f"| {field.description} | `{field.name}` | `{field.irreps}`" in text
    for name in (*task.rewards, *task.metrics, *task.arguments):
        assert f"`{name}`" in text


@pytest.mark.parametrize("env_id", TASKS)
def test_declared_terms_and_metrics_are_those_in_info(env_id):
    import gymnasium

    argument = TASKS[env_id].arguments.get("reward_type")
    words = [] if argument is None else re.findall(r'`"(\w+)"`', argument.description)
    for kwargs in ({}, *({"reward_type": word} for word in words)):
        env = gymnasium.make(env_id, **kwargs)
        env.reset(seed=0)
        info = env.step(env.action_space.sample())[-1]
        terms = {name.removeprefix("reward_") for name in info if name.startswith("reward_")}
        assert terms <= set(TASKS[env_id].rewards)
        others = {name for name in info if not name.startswith("reward_")}
        assert others == {"is_success", *TASKS[env_id].metrics}
