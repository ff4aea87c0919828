"""Types of the standard observation of Gymnasium's MuJoCo environments, from a model's symmetries.

``observation_structure`` names the parts in their order: ``qpos`` without the first ``skipped_qpos`` entries, ``qvel``,
``cinert``, ``cvel`` and ``cfrc_ext`` of all bodies but the world, ``qfrc_actuator`` of all joints but the root. The
three that MuJoCo keeps per body are taken about the robot's centre of mass, along the axes of the world, rotational
part first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.declare.links import link_images
from eqrl.declare.types import QUATERNION, Sets, Types, build, plain
from eqrl.derivation import Symmetry
from eqrl.proof.declared.motion import Motion, qpos_map, qvel_map
from eqrl.proof.declared.twins import MujocoTwin
from eqrl.symmetry import Field

_FREE, _BALL = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL)
_MIRROR_Y = np.diag([1.0, -1.0, 1.0])
_PARTS = ("qpos", "qvel", "cinert", "cvel", "qfrc_actuator", "cfrc_ext")


class CannotTypeError(ValueError):
    """A symmetry acts on an observation in a way that no linear representation has."""


def known_parts(structure: Mapping[str, int]) -> list[tuple[str, int]]:
    """Parts of an ``observation_structure`` that are not empty, in order.

    Raises:
        CannotTypeError: if a part is not one of Gymnasium's.
    """
    parts = [(name, int(size)) for name, size in structure.items() if name != "skipped_qpos" and size]
    for name, size in parts:
        if name not in _PARTS:
            raise CannotTypeError(
                f"observation_structure has a part {name!r} of {size} entries that is not one of {', '.join(_PARTS)}"
            )
    return parts


def standard_fields(
    model: mujoco.MjModel, structure: Mapping[str, int], symmetries: Sequence[Symmetry], sets: Sets
) -> list[Field]:
    """Fields of a standard observation; the entity sets that they need are added to ``sets``.

    Raises:
        CannotTypeError: if the structure is unknown, or a symmetry does not act linearly on an observed entry.
    """
    fields: list[Field] = []
    for name, size in known_parts(structure):
        if name == "qpos":
            fields += _positions(model, int(structure.get("skipped_qpos", 0)), size, symmetries, sets)
        elif name == "qvel":
            fields += _velocities(model, size, symmetries, sets)
        elif name == "qfrc_actuator":
            fields.append(_actuator_forces(model, size, symmetries, sets))
        else:
            fields.append(_per_body(model, name, size, symmetries, sets))
    return fields


def types_of(
    model: mujoco.MjModel, structure: Mapping[str, int], symmetries: Sequence[Symmetry], notes: Sequence[str] = ()
) -> Types:
    """Types of a standard observation, with controls as actions, under symmetries of the model.

    Raises:
        CannotTypeError: if a symmetry does not act linearly on an observed entry.
    """
    size = sum(int(n) for name, n in structure.items() if name != "skipped_qpos")
    if not symmetries:
        return plain(size, model.nu, notes)
    sets = Sets()
    fields = standard_fields(model, structure, symmetries, sets)
    action: list[Field] = [action_field(model, symmetries, sets)]
    return build(fields, action, sets, [s.name for s in symmetries], [s.R for s in symmetries], notes=notes)


def observation_matrix(twin: MujocoTwin, motion: Motion) -> Floats:
    """What a symmetry does to the standard observation of an environment, ``(dim, dim)``.

    Raises:
        CannotTypeError: if no linear map does that, or it changes nothing that is observed.
    """
    assert motion.symmetry is not None
    structure = twin.env.observation_structure  # type: ignore[attr-defined]
    types = types_of(twin.model, structure, [motion.symmetry])
    if not types.group.generators:
        raise CannotTypeError("it changes nothing that is observed")
    matrix: Floats = types.observation.matrix(types.group.generators[0][1]).numpy()
    return matrix


def action_field(model: mujoco.MjModel, symmetries: Sequence[Symmetry], sets: Sets) -> Field:
    """The field of an action that is the vector of controls.

    Raises:
        CannotTypeError: if a symmetry shifts a control.
    """
    for s in symmetries:
        if np.abs(s.ctrl_offsets).max(initial=0.0) > 1e-9:
            raise CannotTypeError(f"{s.name!r} shifts the control of actuator {int(np.abs(s.ctrl_offsets).argmax())}")
    labels = [
        model.actuator(i).name or model.joint(int(model.actuator_trnid[i, 0])).name or str(i) for i in range(model.nu)
    ]
    name = sets.add("actuators", [s.ctrl_matrix for s in symmetries], labels) if symmetries else None
    return Field("control", "1x0e" if name else f"{model.nu}x0e", entities=name)


# ------------------------------------------------------------------ positions and velocities
def _positions(
    model: mujoco.MjModel, skipped: int, size: int, symmetries: Sequence[Symmetry], sets: Sets
) -> list[Field]:
    if skipped + size != model.nq:
        raise CannotTypeError(
            f"observation_structure says {skipped} skipped and {size} seen positions, but the model has {model.nq}"
        )
    maps = [qpos_map(s) for s in symmetries]
    for s, (matrix, offset) in zip(symmetries, maps, strict=True):
        _refuse_shift(model, s, offset, skipped)
        if np.abs(matrix[skipped:, :skipped]).max(initial=0.0) > 1e-9:
            raise CannotTypeError(f"{s.name!r} mixes seen positions with skipped ones")
    matrices = [m for m, _ in maps]
    fields: list[Field] = []
    for start, stop, joint in _runs(model, model.jnt_qposadr, model.nq):
        first = max(start, skipped)
        if first >= stop:
            continue
        if joint is None:
            fields.append(_coordinates(model, "positions", first, stop, matrices, sets, model.jnt_qposadr))
            continue
        body = _body_name(model, joint)
        if model.jnt_type[joint] == _FREE:
            end = start + 3
            if first == start:
                fields.append(Field(f"{body} position", "1x1o"))
            elif first == start + 2 and all(abs(s.R[2, 2] - 1) < 1e-9 for s in symmetries):
                fields.append(Field(f"{body} height", "1x0e"))
            elif first < end:
                raise CannotTypeError(
                    f"{first - start} of the 3 coordinates of {body!r} are skipped, which splits a vector"
                )
            first = max(first, end)
        if first != stop - 4:
            raise CannotTypeError(f"{skipped} skipped positions split the orientation of {body!r}")
        fields.append(_block(f"{body} orientation", f"{body} {QUATERNION}", first, stop, matrices, sets, "wxyz"))
    return fields


def _velocities(model: mujoco.MjModel, size: int, symmetries: Sequence[Symmetry], sets: Sets) -> list[Field]:
    if size != model.nv:
        raise CannotTypeError(f"observation_structure says {size} velocities, but the model has {model.nv}")
    matrices = [qvel_map(s) for s in symmetries]
    fields: list[Field] = []
    for start, stop, joint in _runs(model, model.jnt_dofadr, model.nv):
        if joint is None:
            fields.append(_coordinates(model, "velocities", start, stop, matrices, sets, model.jnt_dofadr))
            continue
        body = _body_name(model, joint)
        if model.jnt_type[joint] == _FREE:
            fields.append(Field(f"{body} velocity", "1x1o"))
            start += 3
        axes = None
        if symmetries:
            frames = [s.frames[model.jnt_bodyid[joint], :3, :3] for s in symmetries]
            if any(s.joints[joint] != joint for s in symmetries):
                raise CannotTypeError(
                    f"free bodies such as {body!r} are exchanged; declare the fields of this observation"
                )
            axes = sets.add(f"{body} axes", frames, "xyz")
        fields.append(Field(f"{body} angular velocity", "1x1e", frame=axes or "world"))
    return fields


def _actuator_forces(model: mujoco.MjModel, size: int, symmetries: Sequence[Symmetry], sets: Sets) -> Field:
    start = model.nv - size
    matrices = [qvel_map(s) for s in symmetries]
    return _coordinates(model, "actuator forces", start, model.nv, matrices, sets, model.jnt_dofadr)


def _coordinates(
    model: mujoco.MjModel,
    what: str,
    start: int,
    stop: int,
    matrices: Sequence[Floats],
    sets: Sets,
    addresses: Sequence[int],
) -> Field:
    members = [j for j in range(model.njnt) if start <= addresses[j] < stop]
    hinges = [j for j in range(model.njnt) if model.jnt_type[j] not in (_FREE, _BALL)]
    labels = [model.joint(j).name or str(j) for j in members]
    # one set for positions, velocities and forces of the same joints
    name = "joints" if members == hinges else f"joints from {labels[0]}"
    return _block(
        f"joint {what}" if name == "joints" else f"{what} from {labels[0]}", name, start, stop, matrices, sets, labels
    )


def _block(
    field: str, name: str, start: int, stop: int, matrices: Sequence[Floats], sets: Sets, labels: Sequence[str]
) -> Field:
    if not matrices:
        return Field(field, f"{stop - start}x0e")
    parts = [m[start:stop, start:stop] for m in matrices]
    try:
        return Field(field, "1x0e", entities=sets.add(name, parts, labels))
    except ValueError as error:
        raise CannotTypeError(f"{name}: {error}; declare the fields of this observation") from error


# ------------------------------------------------------------------ per body
def _per_body(model: mujoco.MjModel, name: str, size: int, symmetries: Sequence[Symmetry], sets: Sets) -> Field:
    count, width = model.nbody - 1, 10 if name == "cinert" else 6
    if size != count * width:
        raise CannotTypeError(f"{name} has {size} entries, but {count} bodies have {count * width}")
    if not symmetries:
        return Field(name, f"{size}x0e")
    labels = [model.body(b).name or f"body {b}" for b in range(1, model.nbody)]
    permutations: list[Floats] = []
    for s in symmetries:
        matrix = np.zeros((count, count))
        matrix[link_images(s)[1:] - 1, np.arange(count)] = 1.0
        permutations.append(matrix)
    if name != "cinert":  # torque and force, angular and linear velocity
        return Field(name, "1x1e + 1x1o", entities=sets.add("links", permutations, labels))
    if all(np.allclose(s.R, np.eye(3)) or np.allclose(s.R, _MIRROR_Y) for s in symmetries):
        # xx yy zz xy xz yz of the inertia, mass times offset, mass; y changes sign with orientation
        irreps = "3x0e + 1x0o + 1x0e + 1x0o + 1x1o + 1x0e"
        return Field(name, irreps, entities=sets.add("links", permutations, labels))
    parts = [
        np.asarray(np.kron(p, inertia_matrix(s.R)), dtype=np.float64)
        for p, s in zip(permutations, symmetries, strict=True)
    ]
    try:
        return Field(name, "1x0e", entities=sets.add("inertias", parts))
    except ValueError as error:
        raise CannotTypeError(
            f"{name} holds tensors whose six entries do not turn orthogonally; leave it out"
        ) from error


def inertia_matrix(R: Floats) -> Floats:
    """What a world isometry does to xx yy zz xy xz yz of a tensor, then a vector, then a scalar: ``(10, 10)``."""
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    out = np.zeros((10, 10))
    for k, (i, j) in enumerate(pairs):
        tensor = np.zeros((3, 3))
        tensor[i, j] = tensor[j, i] = 1.0
        moved = R @ tensor @ R.T
        out[:6, k] = [moved[a, b] for a, b in pairs]
    out[6:9, 6:9] = R
    out[9, 9] = 1.0
    return out


# ------------------------------------------------------------------ joints
def _runs(model: mujoco.MjModel, addresses: Sequence[int], end: int) -> list[tuple[int, int, int | None]]:
    """Stretches of coordinates: free and ball joints one by one, hinges and slides between them together."""
    borders = [*(int(a) for a in addresses), end]
    runs: list[tuple[int, int, int | None]] = []
    for j in range(model.njnt):
        start, stop = borders[j], borders[j + 1]
        if model.jnt_type[j] in (_FREE, _BALL):
            runs.append((start, stop, j))
        elif runs and runs[-1][2] is None:
            runs[-1] = (runs[-1][0], stop, None)
        else:
            runs.append((start, stop, None))
    return runs


def _body_name(model: mujoco.MjModel, joint: int) -> str:
    body = int(model.jnt_bodyid[joint])
    return str(model.body(body).name or f"body {body}")


def _refuse_shift(model: mujoco.MjModel, s: Symmetry, offset: Floats, skipped: int) -> None:
    seen = ~(np.abs(offset[skipped:]) < 1e-9)
    if seen.any():
        at = skipped + int(np.flatnonzero(seen)[0])
        joint = int(np.searchsorted(model.jnt_qposadr, at, side="right")) - 1
        raise CannotTypeError(
            f"{s.name!r} takes position {at} (joint {model.joint(joint).name!r}) about {offset[at] / 2:.3g} and not"
            " about zero, which no linear representation has; observe it relative to that value"
        )
