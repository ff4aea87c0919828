"""Environments typed from outside, correctly and with one planted error: parity, sign, permutation or frame.

For Gymnasium's robots, the ready-made types are the correct declaration. The other robots have two or four legs and a
free base, and the usual observations: gravity, linear and angular velocity along the body's or the world's axes,
joints, feet.
``planted_wrong_maps.py`` counts what ``check_environment`` refuses.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import gymnasium
import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl import EntitySet, Field, Generator, Group, Representation, with_symmetry

Floats = NDArray[np.float64]
GYMNASIUM = ("Ant-v5", "Walker2d-v5", "Reacher-v5", "Swimmer-v5")
_MOST = 4  # slips of each kind for each entity set
_UNSEEN = ("cfrc_ext",)  # forces on bodies that nothing touches are zero with every sign


@dataclass(frozen=True)
class Declaration:
    """An environment, with the declared representations of its observations and actions.

    Attributes:
        env: the bare environment.
        observation: representation of the observations.
        action: representation of the actions.
    """

    env: gymnasium.Env[Any, Any]
    observation: Representation
    action: Representation

    def typed(self) -> gymnasium.Env[Any, Any]:
        """The environment with typed spaces."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return with_symmetry(self.env, observation=self.observation, action=self.action)


@dataclass(frozen=True)
class Slip:
    """One wrong declaration.

    Attributes:
        environment: its name.
        kind: of the slip.
        fields: those that may be named, as ``"observation gyro"``.
        declaration: what is declared.
    """

    environment: str
    kind: str
    fields: tuple[str, ...]
    declaration: Declaration


class Robot(gymnasium.Env[Any, Any]):
    """A box on legs with roll and pitch joints at each hip, and knees; the reward is its height.

    Args:
        legs: two or four.
        knees: whether legs have knees.
        along: ``"body"`` or ``"world"``: the axes of linear velocity and feet.
    """

    def __init__(self, legs: int, knees: bool, along: str) -> None:
        self.legs, self.knees, self.along = legs, knees, along
        self.model = mujoco.MjModel.from_xml_string(_xml(legs, knees))
        self.data = mujoco.MjData(self.model)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (len(self._get_obs()),), np.float64)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (self.model.nu,), np.float32)

    def _get_obs(self) -> Floats:
        d, trunk = self.data, self.data.body("trunk")
        R = trunk.xmat.reshape(3, 3)
        turn = R if self.along == "body" else np.eye(3)
        feet = [(d.site(f"foot{i}").xpos - trunk.xpos) @ turn for i in range(self.legs)]
        return np.concatenate([R[2], d.qvel[:3] @ turn, d.qvel[3:6], d.qpos[7:], d.qvel[6:], *feet])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Start close to the upright pose."""
        super().reset(seed=seed)
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[7:] = 0.1 * self.np_random.normal(size=self.model.nq - 7)
        self.data.qvel[:] = 0.1 * self.np_random.normal(size=self.model.nv)
        mujoco.mj_forward(self.model, self.data)
        return self._get_obs(), {}

    def step(self, action: Any) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Take five substeps."""
        self.data.ctrl[:] = action
        mujoco.mj_step(self.model, self.data, nstep=5)
        return self._get_obs(), float(self.data.qpos[2]), bool(self.data.qpos[2] < 0.1), False, {}


def right() -> Iterator[tuple[str, Declaration]]:
    """Right declarations and the names of their environments."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in GYMNASIUM:
            env = gymnasium.make(name)
            types = with_symmetry(env).types
            assert types.action is not None
            yield name, Declaration(env, types.observation, types.action)
    for legs, knees in ((2, False), (2, True), (4, False), (4, True)):
        for along in ("body", "world"):
            yield f"{legs} legs{' with knees' if knees else ''}, {along}", _robot(legs, knees, along)


def slips(name: str, declared: Declaration, rng: np.random.Generator) -> Iterator[Slip]:
    """Slips in a right declaration."""
    yield from _parities(name, declared)
    yield from _frames(name, declared)
    yield from _relabellings(name, declared, rng)


def _parities(name: str, d: Declaration) -> Iterator[Slip]:
    if not d.observation.group.has_mirrors:
        return
    for what in ("observation", "action"):
        rep: Representation = getattr(d, what)
        for field in rep.fields:
            flipped = replace(field, irreps=field.irreps.translate(str.maketrans("eo", "oe")), role="")
            # a quaternion and its opposite are the same pose
            if not _unseen(field) and not str(field.entities).endswith("quaternion"):
                yield Slip(name, "parity", (f"{what} {field.name}",), _changed(d, what, field, flipped))


def _frames(name: str, d: Declaration) -> Iterator[Slip]:
    if d.observation.group.connected == "1" or "trunk" not in d.observation.group.relabels:
        return
    for field in d.observation.fields:
        if "1x1" in field.irreps:
            other = replace(field, frame="world" if field.frame == "trunk" else "trunk", role="")
            yield Slip(name, "frame", (f"observation {field.name}",), _changed(d, "observation", field, other))


def _relabellings(name: str, d: Declaration, rng: np.random.Generator) -> Iterator[Slip]:
    group = d.observation.group
    for k, generator in enumerate(group.finite):
        for over, matrix in generator.h:
            fields = _fields_over(d, over)
            if not fields or over == "trunk":
                continue
            M = np.array(matrix)
            for i in rng.permutation(len(M))[:_MOST]:
                D = np.eye(len(M))
                D[i, i] = -1.0
                yield Slip(name, "sign", fields, _regrouped(d, k, over, D @ M))
            pairs = [(a, b) for a in range(len(M)) for b in range(a)]
            for p in rng.permutation(len(pairs))[:_MOST]:
                wrong = M.copy()
                wrong[list(pairs[p])] = wrong[list(pairs[p])[::-1]]
                if not np.allclose(np.abs(wrong), np.abs(M)) and not _alike(d, over, pairs[p]):
                    yield Slip(name, "permutation", fields, _regrouped(d, k, over, wrong))


def _alike(d: Declaration, over: str, pair: tuple[int, int]) -> bool:
    """Whether two entities of an observation cannot be told apart."""
    states = np.stack([d.env.reset(seed=i)[0] for i in range(8)])
    for field in d.observation.fields:
        if field.entities == over:
            block = states[:, d.observation.slices[field.name]].reshape(8, -1, field.width)
            if not np.allclose(block[:, pair[0]], block[:, pair[1]]):
                return False
    return not any(field.entities == over for field in d.action.fields)


def _fields_over(d: Declaration, over: str) -> tuple[str, ...]:
    return tuple(
        f"{what} {f.name}"
        for what in ("observation", "action")
        for f in getattr(d, what).fields
        if f.entities == over and not _unseen(f)
    )


def _unseen(field: Field) -> bool:
    return any(part in field.name for part in _UNSEEN)


def _changed(d: Declaration, what: str, field: Field, other: Field) -> Declaration:
    rep: Representation = getattr(d, what)
    return replace(d, **{what: replace(rep, fields=tuple(other if f == field else f for f in rep.fields))})


def _regrouped(d: Declaration, k: int, over: str, matrix: Floats) -> Declaration:
    group = d.observation.group
    old = group.finite[k]
    new = Generator.of(old.name, np.array(old.R), {**{n: np.array(m) for n, m in old.h}, over: matrix})
    other = replace(group, finite=(*group.finite[:k], new, *group.finite[k + 1 :]))
    return replace(d, observation=_under(d.observation, other), action=_under(d.action, other))


def _under(rep: Representation, group: Group) -> Representation:
    """The same fields under another group, with entities of one kind, so that any two may be exchanged."""
    sets = tuple(EntitySet(e.name, ("thing",) * e.size) for e in rep.entities)
    return Representation(rep.fields, sets, group)


def _robot(legs: int, knees: bool, along: str) -> Declaration:
    """C2 or C2 x C2 with rotations about gravity; vectors along the body's axes turn with the trunk."""
    group = _mirrors(legs, knees)
    kinds = ("roll", "pitch", "knee")[: 3 if knees else 2] * legs
    over_legs, over_joints = EntitySet("legs", ("leg",) * legs), EntitySet("joints", kinds)
    frame = "trunk" if along == "body" else "world"
    fields = (
        Field("gravity", "1x1o", frame="trunk"),
        Field("velocity", "1x1o", frame=frame),
        Field("gyro", "1x1e", frame="trunk"),
        Field("q", "1x0e", entities="joints"),
        Field("dq", "1x0e", entities="joints"),
        Field("feet", "1x1o", entities="legs", frame=frame),
    )
    action = Representation((Field("torque", "1x0e", entities="joints"),), (over_joints,), group)
    return Declaration(Robot(legs, knees, along), Representation(fields, (over_legs, over_joints), group), action)


def _mirrors(legs: int, knees: bool) -> Group:
    """Mirrors map every joint to that of its leg's image, with the sign of an axial vector along its axis."""
    mirrors = [("sagittal mirror", np.diag([1.0, -1.0, 1.0])), ("frontal mirror", np.diag([-1.0, 1.0, 1.0]))]
    axes = [0, 1, 1] if knees else [0, 1]
    hips, generators = _places(legs), []
    for name, R in mirrors[: 1 if legs == 2 else 2]:
        swap = np.zeros((legs, legs))
        for leg, hip in enumerate(hips):
            swap[np.linalg.norm(hips - R[:2, :2] @ hip, axis=1).argmin(), leg] = 1.0
        signs = np.diag([np.linalg.det(R) * R[axis, axis] for axis in axes])
        generators.append(Generator.of(name, R, {"legs": swap, "trunk": R, "joints": np.kron(swap, signs)}))
    return Group("robot", "SO2", tuple(generators))


def _places(legs: int) -> Floats:
    if legs == 2:
        return np.array([[0.0, 0.1], [0.0, -0.1]])
    return np.array([[x, y] for x in (0.2, -0.2) for y in (0.1, -0.1)])


def _xml(legs: int, knees: bool) -> str:
    def leg(i: int, p: Floats) -> str:
        shin = f"""<geom type="capsule" fromto="0 0 0 0 0 -.2" size=".03"/><site name="foot{i}" pos="0 0 -.2"/>"""
        lower = f"""<body pos="0 0 -.2"><joint name="knee{i}" axis="0 1 0" range="-1 1" damping=".2"/>{shin}</body>"""
        return f"""<body pos="{p[0]} {p[1]} 0"><joint name="roll{i}" axis="1 0 0" range="-.5 .5" damping=".2"/>
<joint name="pitch{i}" axis="0 1 0" range="-1 1" damping=".2"/>
{f'<geom type="capsule" fromto="0 0 0 0 0 -.2" size=".03"/>{lower}' if knees else shin}</body>"""

    parts = [leg(i, p) for i, p in enumerate(_places(legs))]
    names = [f"{joint}{i}" for i in range(legs) for joint in ("roll", "pitch", "knee")[: 3 if knees else 2]]
    motors = "".join(f'<motor joint="{n}" gear="5" ctrlrange="-1 1" ctrllimited="true"/>' for n in names)
    return f"""<mujoco><compiler angle="radian" autolimits="true"/><option cone="elliptic"/><worldbody>
  <geom type="plane" size="0 0 1"/>
<body name="trunk" pos="0 0 .45"><freejoint/><geom type="box" size="{0.2 if legs == 4 else 0.08} .1 .06"/>
{'<geom type="sphere" pos=".1 0 .08" size=".04"/>' if legs == 2 else ""}{"".join(parts)}</body></worldbody>
<actuator>{motors}</actuator></mujoco>"""
