"""Derive the symmetry of a MuJoCo model from the model itself.

A model's moving parts form trees: those that float (a free joint at the root) and the one of all that is fixed to the
world. An element of the symmetry group is a world isometry together with an isometry of every tree, all of the same
handedness. Trees are matched under candidate isometries (``candidates``, ``matching``), what connects them follows
(``connections``), and every attribute is compared with that of its image (``comparison``).

Level *kinematic*: tree, joint frames, ranges, actuators and shapes agree within ``tolerance``. Level *dynamic*: these
and all masses, inertias, friction, gains and the rest agree within ``exact``. After Ordonez-Apraez et al., "On discrete
symmetries of robotics systems" (RSS 2023, arXiv 2302.10433), who state symmetries by hand; here they are derived.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import mujoco
import numpy as np

from eqrl.derivation.actuation import refuse_several_controls
from eqrl.derivation.derivation import Derivation
from eqrl.derivation.model_parts import Parts
from eqrl.derivation.search import Search
from eqrl.derivation.terrain import hidden, terrain

Source: TypeAlias = mujoco.MjModel | mujoco.MjSpec | str | Path


def derive(source: Source, *, tolerance: float = 1e-3, exact: float = 1e-7, near: float = 0.05) -> Derivation:
    """Find the symmetries of a model.

    Args:
        source: a compiled model, an ``MjSpec``, or the path of an MJCF or MJB file.
        tolerance: relative difference up to which the kinematic level accepts a part for its image; of positions it is
            relative to the size of the model.
        exact: the same for the dynamic level; what is below is rounding.
        near: distance between a part and its image, relative to the size of the model, up to which near misses are
            sought.

    Returns:
        Generators on both levels, near misses, and what may be done to the world.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not a model that MuJoCo can compile; the message is MuJoCo's. Also if an actuator has
            several controls.
    """
    model, spec = load(source)
    refuse_several_controls(model)
    best = Search(Parts.of(model), tolerance, exact, near).run()
    for reference in _other_references(model):
        other = Search(Parts.of(model, reference), tolerance, exact, near).run()
        if _size(other) > _size(best):
            best = replace(other, notes=(*other.notes, "symmetric about another configuration than the zero one"))
    parts = Parts.of(model, best.identity.reference)
    if statics := terrain(parts):
        bare = Search(replace(parts, ignoring=statics), tolerance, exact, near).run()
        best = replace(best, near_misses=(*best.near_misses, *hidden(best, bare, parts, tolerance)))
    return replace(best, spec=spec)


def load(source: Source) -> tuple[mujoco.MjModel, mujoco.MjSpec | None]:
    """Compile a model.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if MuJoCo cannot compile it.
    """
    if isinstance(source, mujoco.MjModel):
        return source, None
    if isinstance(source, mujoco.MjSpec):
        return source.compile(), source
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {str(path)!r}")
    if path.suffix.lower() == ".mjb":
        return mujoco.MjModel.from_binary_path(str(path)), None
    spec = mujoco.MjSpec.from_file(str(path))
    return spec.compile(), spec


def _size(derivation: Derivation) -> float:
    try:
        listed = derivation.order("kinematic")
    except ValueError:  # more elements than are listed
        return np.inf
    return math.log(listed) + sum(math.log(like.size) for like in derivation.exchangeable("kinematic"))


def _other_references(model: mujoco.MjModel) -> Iterator[np.ndarray]:
    """Configurations in which a model may be symmetric that is not so at zero; bases stay where they are."""
    if (model.jnt_type == mujoco.mjtJoint.mjJNT_BALL).any():
        return
    for k in range(min(model.nkey, 3)):
        q = np.array(model.key_qpos[k])
        for j in range(model.njnt):
            if model.jnt_type[j] == mujoco.mjtJoint.mjJNT_FREE:
                a = model.jnt_qposadr[j]
                q[a : a + 7] = model.qpos0[a : a + 7]
        if not np.allclose(q, model.qpos0):
            yield q
    # what slides on the world has no place of its own: put it in the middle
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    q = model.qpos0.copy()
    for slide in np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_SLIDE):
        body = model.jnt_bodyid[slide]
        if model.body_weldid[model.body_parentid[body]] == 0:
            q[model.jnt_qposadr[slide]] -= data.xaxis[slide] @ data.xpos[body]
    if not np.allclose(q, model.qpos0):
        yield q
