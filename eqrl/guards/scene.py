"""The variables of SB3's functions when an error was raised, read from the traceback.

No code of SB3 is copied or replaced for this. A variable that has another name is missing from the diagnosis.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm


@dataclass
class Scene:
    """Variables of a model's methods that an error passed through.

    Attributes:
        rollout: variables of ``collect_rollouts``; empty if the error did not pass through it.
        update: variables of ``train``, likewise.
        arguments: arguments with which ``train`` was called.
    """

    rollout: Mapping[str, Any] = field(default_factory=dict)
    update: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def minibatch(self) -> dict[str, Any]:
        """The samples of the update by name; dict observations are dicts."""
        for name in ("rollout_data", "replay_data"):
            if (samples := self.update.get(name)) is not None:
                return {k: v for k, v in samples._asdict().items() if v is not None}
        return {}

    @property
    def losses(self) -> dict[str, float]:
        """Losses that the update has computed so far, in the order of their computation."""
        losses = {
            name: float(value.detach())
            for name, value in self.update.items()
            if name.endswith("loss") and isinstance(value, torch.Tensor) and value.numel() == 1
        }
        # the total comes last: "loss" is the sum of the others
        return {**{k: v for k, v in losses.items() if k != "loss"}, **{k: v for k, v in losses.items() if k == "loss"}}


def scene_of(error: BaseException, model: BaseAlgorithm) -> Scene:
    """The scene of an error that was raised within ``model.learn``."""
    scene, trace = Scene(), error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        code, variables = frame.f_code, frame.f_locals
        if variables.get("self") is model and code.co_name == "collect_rollouts":
            scene.rollout = variables
        elif variables.get("self") is model and code.co_name == "train":
            scene.update = variables
            scene.arguments = scene.arguments or _arguments(code, variables)
        trace = trace.tb_next
    return scene


def _arguments(code: CodeType, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a method, read from its outermost frame; the ``**kwargs`` of a wrapper are included."""
    names = code.co_varnames[1 : code.co_argcount]
    arguments = {name: variables[name] for name in names if name in variables}
    if code.co_flags & inspect.CO_VARKEYWORDS:
        arguments |= variables[
            code.co_varnames[code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)]
        ]
    return arguments
