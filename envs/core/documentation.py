"""Documentation of a task, in the sections of Gymnasium's environment pages.

All tables follow from what the task declares.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Protocol

from eqrl.envs.core.fields import representation_over
from eqrl.symmetry import Field

_ORDER = (
    "Description",
    "Action space",
    "Observation space",
    "Rewards",
    "Starting state",
    "Episode end",
    "Arguments",
    "Version history",
)
# arguments of the forms, which every task has
_SHARED = {
    "scene_rotation": ("0.0", "turn of the whole initial scene about the vertical", "degrees"),
    "goal_rotation": ("0.0", "turn of the goal alone", "degrees"),
    "on_divergence": ('"stop"', 'when the physics diverges: an error; or `"reset"` to end the episode', ""),
}


class Declared(Protocol):
    """What a task's class declares, as far as documentation follows from it."""

    __doc__: str | None
    observation: Any
    action: Any
    entities: Any
    rewards: Any
    metrics: Any
    arguments: Any


def with_tables(task: Declared) -> str:
    """The docstring of a task's class with the sections that its declarations fill."""
    head, *parts = ("\n" + inspect.cleandoc(task.__doc__ or "")).split("\n## ")
    sections = {title: text.strip("\n") for title, _, text in (part.partition("\n") for part in parts)}
    sections |= {
        "Action space": _actions(task),
        "Observation space": _observations(task),
        "Rewards": _rewards(task, sections.get("Rewards", "")),
        "Arguments": _arguments(task),
    }
    titles = [*(t for t in _ORDER if t in sections), *(t for t in sections if t not in _ORDER)]
    return "\n\n".join([head.strip("\n"), *(f"## {title}\n{sections[title]}" for title in titles)]) + "\n"


def documentation(task: type[Declared]) -> str:
    """The documentation of a task with all tables; those of fields that follow from its arguments are as by default."""
    complete = hasattr(task, "observation")
    return (task.__doc__ or "") if complete else with_tables(task())


def _actions(task: Declared) -> str:
    dim = representation_over(task.action, task.entities).dim
    ball = (
        "; vectors are sampled from and clipped to the unit ball"
        if any(d > 0 for f in task.action for d, _ in f.copies)
        else ""
    )
    return "\n".join([f"`TypedBox(-1, 1, ({dim},))`{ball}.", "", *_table(task, {"": task.action}, "action")])


def _observations(task: Declared) -> str:
    if isinstance(task.observation, Mapping):
        return "\n".join(["A dict of typed boxes, float32.", "", *_table(task, task.observation, "observation")])
    dim = representation_over(task.observation, task.entities).dim
    return "\n".join(
        [f"`TypedBox(-inf, inf, ({dim},))`, float32.", "", *_table(task, {"": task.observation}, "observation")]
    )


def _table(task: Declared, boxes: Mapping[str, tuple[Field, ...]], what: str) -> list[str]:
    keyed = list(boxes) != [""]
    columns = [*(["key"] if keyed else []), "num", what, "field", "irreps", "frame", "unit"]
    rows = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for key, fields in boxes.items():
        representation = representation_over(fields, task.entities)
        for k, f in enumerate(fields):
            at = representation.slices[f.name]
            num = str(at.start) if at.stop == at.start + 1 else f"{at.start}-{at.stop - 1}"
            irreps = (
                f"`{f.irreps}`"
                + (", horizontal" if f.horizontal else "")
                + (f", over {f.entities}" if f.entities else "")
            )
            turns = any(degree > 0 for degree, _ in f.copies)  # a scalar has no frame
            cells = [num, f.description, f"`{f.name}`", irreps, f.frame if turns else "", f.unit]
            if keyed:
                cells.insert(0, f"`{key}`" if k == 0 else "")
            rows.append("| " + " | ".join(cells) + " |")
    return rows


def _rewards(task: Declared, words: str) -> str:
    terms = [f"- `{name}`: {meaning};" for name, meaning in task.rewards.items()]
    metrics = [f"`{name}` ({meaning})" for name, meaning in task.metrics.items()]
    lines = [
        "The reward is the sum of the terms, each of which is in `info` as `reward_<term>`:",
        *terms[:-1],
        terms[-1][:-1] + ".",
    ]
    lines += ["", f"`info` also has {', '.join(['`is_success`', *metrics])}."]
    return "\n".join([*lines, *(["", words] if words else [])])


def _arguments(task: Declared) -> str:
    rows = ["| name | default | meaning | unit |", "|---|---|---|---|"]
    for name, a in task.arguments.items():
        default = f'"{a.default}"' if isinstance(a.default, str) else str(a.default)
        rows.append(f"| `{name}` | `{default}` | {a.description} | {a.unit} |")
    rows += [f"| `{name}` | `{default}` | {meaning} | {unit} |" for name, (default, meaning, unit) in _SHARED.items()]
    episode = [f"`{name}`" for name, a in task.arguments.items() if a.per_episode]
    options = ", ".join([*episode, "`scene_rotation`", "`goal_rotation`"])
    return "\n".join([*rows, "", f"`reset(options={{...}})` takes {options} for one episode."])
