"""Gymnasium's own environments.

``scripts/gymnasium_symmetries.py`` finds the symmetry of each and writes it to ``data/``.

Permutations with signs are written as signed numbers from 1: ``[2, 1, -3]`` sends the first entry to the second place,
the second to the first, and the third to its own with the opposite sign.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
import yaml

from eqrl.arrays import Floats
from eqrl.declare.declared import discrete_note
from eqrl.declare.layout import CannotTypeError, action_field, standard_fields
from eqrl.declare.links import link_images
from eqrl.declare.types import Sets, Types, build, plain
from eqrl.derivation import Symmetry, identity
from eqrl.proof.declared.motion import Motion, motion_of, vector_motion
from eqrl.symmetry import Field

# as numbers: MuJoCo's enumerations are not equal to them
_TURNING = (int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL))


@dataclass(frozen=True)
class GeneratorSpec:
    """One generator of a ready-made environment.

    Attributes:
        name: for people.
        exact: whether physics, observation, reward and termination keep it exactly.
        differs: for an approximate one, what breaks it.
        drift: median difference of states after 1, 10 and 50 steps.
        element: what it does: the parts of a ``Symmetry``, or ``state`` where there is no model; ``observation`` and
            ``action`` where these are not of the standard form.
    """

    name: str
    exact: bool
    differs: tuple[str, ...]
    drift: tuple[float, ...]
    element: Mapping[str, Any]

    def symmetry(self, model: mujoco.MjModel) -> Symmetry:
        """As a symmetry of the model."""
        return symmetry_of(model, self.name, self.element)

    def motion(self, model: mujoco.MjModel | None) -> Motion:
        """As it acts on states."""
        if model is not None:
            return motion_of(self.symmetry(model))
        return vector_motion(self.name, signed(self.element["state"]), signed(self.element.get("action", [1])))


@dataclass(frozen=True)
class Spec:
    """A ready-made environment.

    Attributes:
        environment: its class, ``"module:name"``.
        ids: under which Gymnasium registers it.
        model: file and SHA-256 of its model, None where it has none.
        fields: name and size of each part of the observation; None for the standard ones.
        generators: of its group.
        notes: further remarks.
    """

    environment: str
    ids: tuple[str, ...]
    model: tuple[str, str] | None
    fields: tuple[tuple[str, int], ...] | None
    generators: tuple[GeneratorSpec, ...]
    notes: tuple[str, ...]


@cache
def specs() -> Mapping[str, Spec]:
    """All ready-made environments by id."""
    by_id = {}
    for path in sorted(files("eqrl.declare").joinpath("data").iterdir(), key=lambda p: p.name):
        if path.name.endswith(".yaml"):
            spec = _parse(yaml.safe_load(path.read_text(encoding="utf-8")))
            by_id.update(dict.fromkeys(spec.ids, spec))
    return by_id


def spec_of(env: gymnasium.Env[Any, Any]) -> Spec | None:
    """The ready-made description of an environment, None if there is none or its model is another one."""
    base = env.unwrapped
    name = f"{type(base).__module__}:{type(base).__name__}"
    spec = next((s for s in specs().values() if s.environment == name), None)
    if spec is None or spec.model is None:
        return spec
    path = Path(getattr(base, "fullpath", ""))
    return spec if path.is_file() and model_hash(path) == spec.model[1] else None


def model_hash(path: Path) -> str:
    """SHA-256 of a model's file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def ready_made_types(env: gymnasium.Env[Any, Any], spec: Spec, generators: Sequence[GeneratorSpec]) -> Types:
    """Types of a ready-made environment under some of its generators.

    Raises:
        CannotTypeError: if the environment's options leave an observation on which they do not act.
    """
    base = env.unwrapped
    model = getattr(base, "model", None)
    discrete = isinstance(base.action_space, gymnasium.spaces.Discrete)
    size = int(np.prod(base.observation_space.shape or (0,)))
    notes = [*spec.notes]
    if discrete:
        notes.append(discrete_note(base))
    if not generators:
        return plain(size, None if discrete else int(np.prod(base.action_space.shape or (0,))), notes)
    sets = Sets()
    names = [g.name for g in generators]
    symmetries = [g.symmetry(model) for g in generators] if model is not None else []
    worlds = [s.R for s in symmetries] or [np.eye(3)] * len(generators)
    if spec.fields is None:
        fields = standard_fields(model, base.observation_structure, symmetries, sets)  # type: ignore[attr-defined]
    else:
        fields = fields_of(spec.fields, [signed(g.element["observation"]) for g in generators], sets, size)
    action: list[Field] | None
    if discrete:
        action = None
    elif model is not None:
        action = [action_field(model, symmetries, sets)]
    else:
        action = [
            Field("action", "1x0e", entities=sets.add("actions", [signed(g.element["action"]) for g in generators]))
        ]
    return build(fields, action, sets, names, worlds, notes=notes)


def fields_of(named: Sequence[tuple[str, int]], matrices: Sequence[Floats], sets: Sets, size: int) -> list[Field]:
    """Fields of an observation whose parts and matrices are known.

    Raises:
        CannotTypeError: if the parts do not add up, or do not turn among themselves.
    """
    if sum(n for _, n in named) != size:
        raise CannotTypeError(f"the parts {dict(named)} do not add up to the {size} entries of the observation")
    fields, start = [], 0
    for name, n in named:
        where = slice(start, start + n)
        try:
            fields.append(Field(name, "1x0e", entities=sets.add(name, [m[where, where] for m in matrices])))
        except ValueError as error:
            raise CannotTypeError(str(error)) from error
        start += n
    return fields


def signed(images: Sequence[int]) -> Floats:
    """The matrix of a signed permutation written as signed numbers from 1."""
    matrix = np.zeros((len(images), len(images)))
    for i, image in enumerate(images):
        matrix[abs(image) - 1, i] = np.sign(image)
    return matrix


def as_images(matrix: Floats) -> list[int]:
    """The inverse of :func:`signed`."""
    places = np.abs(matrix).argmax(axis=0)
    return [int((p + 1) * np.sign(matrix[p, i])) for i, p in enumerate(places)]


def symmetry_of(model: mujoco.MjModel, name: str, element: Mapping[str, Any]) -> Symmetry:
    """A symmetry from its parts as the data files hold them."""

    def split(key: str, size: int) -> tuple[Any, Any]:
        images = np.array(element.get(key) or range(1, size + 1), dtype=np.int64)
        return np.abs(images) - 1, np.sign(images).astype(np.float64)

    joints, joint_signs = split("joints", model.njnt)
    actuators, ctrl_signs = split("actuators", model.nu)
    frames = np.tile(np.eye(4), (model.nbody, 1, 1))
    for body, rows in (element.get("frames") or {}).items():
        frames[int(body)] = np.array(rows, dtype=np.float64)
    reference = np.array(element.get("reference") or model.qpos0, dtype=np.float64)
    return identity(model, name).map(
        kind=lambda _: "morphology",
        R=lambda _: np.array(element.get("world") or np.eye(3), dtype=np.float64),
        t=lambda _: np.array(element.get("shift") or np.zeros(3), dtype=np.float64),
        bodies=lambda _: split("bodies", model.nbody)[0],
        joints=lambda _: joints,
        joint_signs=lambda _: joint_signs,
        actuators=lambda _: actuators,
        ctrl_signs=lambda _: ctrl_signs,
        frames=lambda _: frames,
        reference=lambda _: reference,
    )


def element_of(symmetry: Symmetry) -> dict[str, Any]:
    """The parts of a symmetry as the data files hold them."""
    m = symmetry.model

    def join(images: Any, signs: Any) -> list[int]:
        return [int((i + 1) * s) for i, s in zip(images, signs, strict=True)]

    def rows(matrix: Floats) -> list[Any]:
        tidy = np.where(np.abs(matrix - np.round(matrix)) < 1e-9, np.round(matrix), matrix) + 0.0
        return tidy.tolist()  # type: ignore[no-any-return]

    free = [int(m.jnt_bodyid[j]) for j in range(m.njnt) if int(m.jnt_type[j]) in _TURNING]
    element: dict[str, Any] = {
        "world": rows(symmetry.R),
        "bodies": join(link_images(symmetry), np.ones(m.nbody)),
        "joints": join(symmetry.joints, symmetry.joint_signs),
        "actuators": join(symmetry.actuators, symmetry.ctrl_signs),
    }
    if np.abs(symmetry.t).max() > 1e-9:
        element["shift"] = symmetry.t.tolist()
    if free:
        element["frames"] = {b: rows(symmetry.frames[b]) for b in free}
    if not np.allclose(symmetry.reference, m.qpos0):
        element["reference"] = symmetry.reference.tolist()
    return element


def _parse(data: Mapping[str, Any]) -> Spec:
    generators = tuple(
        GeneratorSpec(
            g["name"], g["holds"] == "exactly", tuple(g.get("differs", ())), tuple(g.get("drift", ())), g["element"]
        )
        for g in data.get("generators", ())
    )
    model = data.get("model")
    fields = data.get("fields")
    return Spec(
        data["environment"],
        tuple(data["ids"]),
        None if model is None else (model["file"], model["sha256"]),
        None if fields is None else tuple((str(n), int(s)) for n, s in fields.items()),
        generators,
        tuple(data.get("notes", ())),
    )
