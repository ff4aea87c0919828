"""Representations, groups and error measures for the tests of the networks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from eqrl.nn import BACKBONES, Backbone, build
from eqrl.symmetry import O2, O3, SO2, SO3, EntitySet, Field, Generator, Group, Representation, finite_group, scalars

SCALES = (1e-3, 1.0, 1e3)

_CYCLE = np.roll(np.eye(4), 1, axis=0)
_SWAP = np.eye(4)[[1, 0, 3, 2]]
_QUARTER = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
_MIRROR = np.diag([1.0, -1.0, 1.0])

# An ant: a quarter turn of the body relabels the legs, and a mirror of the world goes with one of the body.
ANT_FINITE = (
    Generator.of("quarter turn of the body", None, {"legs": _CYCLE, "body": _QUARTER}),
    Generator.of("mirror", _MIRROR, {"legs": _SWAP, "body": _MIRROR}),
)
ANT = Group("SO2 x D4", "SO2", ANT_FINITE)
D4 = finite_group("D4", ANT_FINITE)
# its cosets are rotations by 60 degrees, whose matrices float32 cannot represent exactly
SIXTH = np.array([[0.5, -(0.75**0.5), 0.0], [0.75**0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
C6 = finite_group("C6", [Generator.of("sixth of a turn", SIXTH)])
C2 = finite_group("C2", ANT_FINITE[1:])
S3 = finite_group(
    "S3",
    (
        Generator.of("cycle", None, {"legs": np.eye(4)[[2, 0, 1, 3]]}),
        Generator.of("swap", None, {"legs": np.eye(4)[[1, 0, 2, 3]]}),
    ),
)
# a rotation of the body by 120 degrees is not a signed permutation of its axes, and it permutes three legs
_THIRD = np.array([[-0.5, -(0.75**0.5), 0.0], [0.75**0.5, -0.5, 0.0], [0.0, 0.0, 1.0]])
TRIPOD = Group(
    "SO2 x C3",
    "SO2",
    (Generator.of("third of a turn of the body", None, {"legs": np.eye(4)[[2, 0, 1, 3]], "body": _THIRD}),),
)
# a mirror exchanges up and down together with legs; a half turn about a horizontal axis exchanges up and down alone
UPSIDE_DOWN = Group(
    "SO2 with upside down",
    "SO2",
    (
        Generator.of("mirror z -> -z", np.diag([1.0, 1.0, -1.0]), {"legs": _SWAP}),
        Generator.of("half a turn about an axis", np.array([[0.6, 0.8, 0.0], [0.8, -0.6, 0.0], [0.0, 0.0, -1.0]])),
    ),
)

_LEGS = EntitySet("legs", ("leg",) * 4)
_BODY = EntitySet("body", ("axis",) * 3)


def observation(group: Group, legs: bool = False) -> Representation:
    """All kinds of fields that the group allows."""
    fields = [
        Field("height", "2x0e"),
        Field("goal", "1x1o", role="goal"),
        Field("velocity", "1x1o", role="heading"),
        Field("twist", "1x0o"),
        Field("spin", "2x1e"),
        Field("points", "1x1o", entities="legs"),
    ]
    entities = [_LEGS]
    if group.fixes_gravity:
        fields += [Field("flat", "2x1o", horizontal=True), Field("flat spin", "1x1e", horizontal=True)]
    if legs:
        entities.append(_BODY)
        fields += [Field("joints", "2x0e", entities="legs"), Field("gyro", "1x1e + 1x1o", frame="body")]
    return Representation(tuple(fields), tuple(entities), group)


def action(group: Group, legs: bool = False) -> Representation:
    """All kinds of outputs that the group allows."""
    fields = [Field("force", "2x1o"), Field("gripper", "2x0e"), Field("screw", "1x0o"), Field("torque", "1x1e")]
    if group.fixes_gravity:
        fields += [Field("push", "1x1o", horizontal=True), Field("flat torque", "1x1e", horizontal=True)]
    if legs:
        fields += [Field("motors", "2x0e", entities="legs"), Field("thrust", "1x1o", frame="body")]
    return Representation(tuple(fields), (_LEGS, _BODY) if legs else (), group)


def role(name: str, group: Group, legs: bool = False) -> tuple[Representation, Representation]:
    """Input and output of an actor, a value or a Q network."""
    obs, act = observation(group, legs), action(group, legs)
    if name == "actor":
        return obs, act
    if name == "value":
        return obs, scalars("value", 1, group)
    return obs.prefixed("obs") + act.prefixed("act"), scalars("q", 1, group)


SUPPORTED: list[tuple[str, Group]] = [
    *(
        (name, group)
        for name in ("frame", "heading", "goal", "vector", "steerable", "transformer", "hetero")
        for group in (SO2, O2)
    ),
    *((name, group) for name in ("vector", "steerable", "hetero") for group in (SO3, O3)),
    *((name, group) for name in ("frame", "transformer") for group in (ANT, D4, C6)),
    ("heading", ANT),
    *(("transformer", group) for group in (SO2, O2)),
    ("set", SO2),
    *(("regular", group) for group in (SO2, O2, ANT, TRIPOD, UPSIDE_DOWN, C2, D4, C6, S3)),
]
ROLES = ("actor", "value", "q")
IDS = [f"{name}-{group}" for name, group in SUPPORTED]


def network(name: str, group: Group, role_name: str, seed: int = 0, **options: object) -> Backbone:
    """A small float32 network with random weights."""
    torch.manual_seed(seed)
    options.setdefault("hidden", (12, 12) if name == "steerable" else (32, 32))
    net = build(name, *role(role_name, group, group.relabels != frozenset()), group, **options)
    assert name in BACKBONES
    with torch.no_grad():  # biases start at zero, which would hide a wrong one
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return net


def error(net: Backbone, group: Group, scale: float = 1.0, n: int = 16, seed: int = 0) -> float:
    """Largest equivariance error relative to the largest output, over random inputs and elements."""
    dtype = next(net.parameters()).dtype
    rng = np.random.default_rng(seed)
    x = scale * torch.as_tensor(rng.standard_normal((n, net.in_rep.dim))).to(dtype)
    g = group.sample(n, rng=rng)
    with torch.no_grad():
        moved: Tensor = net.out_rep.transform(net(x), g)
        difference = net(net.in_rep.transform(x, g)) - moved
    return float(difference.abs().max() / moved.abs().max())


def fit(net: Backbone, x: Tensor, y: Tensor, steps: int, lr: float = 3e-3) -> float:
    """Train with Adam; returns the last loss relative to the target's mean square."""
    optimiser = torch.optim.Adam(net.parameters(), lr=lr)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = (net(x) - y).square().mean()
        loss.backward()
        optimiser.step()
    return float(loss.detach() / y.square().mean())
