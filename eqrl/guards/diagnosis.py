"""Trace an error to its origin: first the data, then the parameters, the losses, and finally the gradients."""

from __future__ import annotations

import math

from stable_baselines3.common.base_class import BaseAlgorithm

from eqrl.envs.core.divergence import DivergenceError
from eqrl.envs.core.finite import NotFiniteError
from eqrl.guards.autopsy import autopsy
from eqrl.guards.bundle import flat
from eqrl.guards.data import first_bad, first_bad_observation
from eqrl.guards.errors import Finding, TrainingDiverged
from eqrl.guards.parameters import bad_parameter, named_numbers
from eqrl.guards.randomness import Randomness
from eqrl.guards.scene import Scene

_FROM_ENVIRONMENT = ("observation", "reward", "physics")
# computed by SB3 from data and parameters, so bad values in them are a consequence
_COMPUTED = ("advantages", "returns", "old_values", "old_log_prob", "discounts")


def diagnose(
    error: BaseException, model: BaseAlgorithm, scene: Scene, env_id: str, randomness: Randomness | None
) -> Finding | None:
    """The origin of a failure, or None if the error is not about numbers.

    Args:
        error: error that ``model.learn`` raised.
        model: the model, as the error left it.
        scene: variables from the traceback of the error.
        env_id: name of the environment.
        randomness: global random numbers at the start of the last update.
    """
    first = _first(error, env_id)
    if first is None or first.kind in _FROM_ENVIRONMENT:
        return first
    data = bad_minibatch(model, scene, env_id)
    if data is not None:
        return data
    parameter = bad_parameter(named_numbers(model).items())
    if parameter is not None:
        return parameter
    if first.kind == "gradient" or (first.kind == "distribution" and scene.update):
        return _of_update(first, model, scene, randomness)
    return first


def _first(error: BaseException, env_id: str) -> Finding | None:
    """The finding that the error itself gives."""
    if isinstance(error, TrainingDiverged):
        return error.finding
    if isinstance(error, DivergenceError):
        text = f"the physics of environment {env_id} diverged ({error.where})"
        return Finding("physics", text, member=error.members[0])
    if isinstance(error, NotFiniteError) and error.name == "action":
        text = f"the policy gave {error.value} in its action (member {error.index[0]})"
        return Finding("action", text, member=error.index[0])
    if isinstance(error, ValueError) and "Expected parameter" in str(error):
        # PyTorch's distributions raise it for a mean or width that is not finite
        return Finding("distribution", "the action distribution is not finite, the training diverged")
    return None


def bad_observation(model: BaseAlgorithm, env_id: str, values: object, member: int | None = None) -> Finding | None:
    """The first number that is not finite in what an environment observed.

    Args:
        model: the model, whose observation space names the fields.
        env_id: name of the environment.
        values: observations with a leading axis.
        member: index of the environment, or None to take the index on the leading axis.
    """
    bad = first_bad_observation(model.observation_space, values)
    if bad is None:
        return None
    who = bad.row if member is None else member
    where = f" {bad.name}" if bad.name else ""
    return Finding(
        "observation",
        f"environment {env_id} returned {bad.value} in its observation{where} (member {who})",
        bad.name,
        who,
    )


def bad_minibatch(model: BaseAlgorithm, scene: Scene, env_id: str) -> Finding | None:
    """The first number that is not finite in the data of an update.

    It may have been corrupted after its collection.
    """
    for name, values in scene.minibatch.items():
        if name in _COMPUTED:
            continue
        if "observations" in name:
            parts = flat("", values)
            observations = {key.removeprefix("."): part for key, part in parts.items()} if len(parts) > 1 else parts[""]
            bad, kind = first_bad_observation(model.observation_space, observations), "observation"
        else:
            bad, kind = first_bad(values.detach().cpu().numpy()), "reward" if name == "rewards" else "action"
        if bad is not None:
            where = f" {bad.name}" if bad.name else ""
            text = f"the buffer of {env_id} holds {bad.value} in its {name}{where}"
            return Finding(kind, text, bad.name)  # type: ignore[arg-type]
    return None


def _of_update(first: Finding, model: BaseAlgorithm, scene: Scene, randomness: Randomness | None) -> Finding:
    """Diagnose an update with finite data and parameters: a loss is not finite, or a gradient is not."""
    for name in _COMPUTED:
        if (values := scene.minibatch.get(name)) is not None and (bad := first_bad(values.detach().cpu().numpy())):
            return Finding("loss", f"{name} in the update are {bad.value} though data and parameters are finite", name)
    for name, value in scene.losses.items():
        if not math.isfinite(value):
            return Finding("loss", f"{name} is {value} though data and parameters are finite", name)
    cause = autopsy(model, scene.arguments, randomness)
    if not cause.parameter:
        return Finding(
            first.kind, f"{first.text} (it did not recur when the update was repeated, so where it began is unknown)"
        )
    blamed = f"autograd blames {cause.operation}" if cause.operation else "autograd blames no operation"
    return Finding(
        "gradient",
        f"the gradient of parameter {cause.parameter} is not finite though data, parameters and losses are ({blamed})",
        cause.parameter,
    )
