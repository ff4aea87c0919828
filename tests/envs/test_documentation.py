"""Documentation follows from declarations, and the committed page is the one that they give."""

import re
import sys
from pathlib import Path

import pytest
from ids import IDS

import eqrl
from eqrl.envs.core import documentation
from eqrl.envs.registration import task_class

ROOT = Path(__file__).parents[2]
TASKS = {env_id: task_class(eqrl.ENVIRONMENTS[env_id].task) for env_id in IDS}


def test_the_committed_page_is_current(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    sys.modules.pop("document_environments", None)
    import document_environments

    page = (ROOT / "docs" / "environments.md").read_text(encoding="utf-8")
    assert page == document_environments.environments_page(), "run: python scripts/document_environments.py"


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
