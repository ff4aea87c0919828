"""Objects with outline points, their targets and hands, for the tests of the heterogeneous graph network."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from eqrl.nn import Backbone, build
from eqrl.symmetry import EntitySet, Field, Group, Representation


def hands_and_object(
    group: Group, points: int = 8, hands: int = 2, *, value: bool = True
) -> tuple[Representation, Representation]:
    """Masked points with targets, hands with velocities, what the scene has; every kind of output over hands."""
    outline = EntitySet("points", ("point",) * points, mask="real", exchangeable=True)
    acting = EntitySet("effectors", ("effector",) * hands, exchangeable=True)
    fields = (
        Field("height", "1x0e"),
        Field("wind", "1x1o"),
        Field("twist", "1x0o"),
        Field("real", "1x0e", "points"),
        Field("point", "1x1o", "points", role="position"),
        Field("target", "1x1o", "points", role="position"),
        Field("hand", "1x1o", "effectors", role="position"),
        Field("velocity", "1x1o", "effectors"),
        Field("spin", "1x1e", "effectors"),
        Field("lamp", "1x1o", role="position"),
    )
    outputs = (
        Field("linear", "1x1o", "effectors"),
        Field("yaw", "1x0o", "effectors"),
        Field("angular", "1x1e", "effectors"),
        Field("grip", "1x0e", "effectors"),
        *((Field("value", "1x0e"), Field("drift", "1x1o"), Field("turn", "1x1e + 1x0o")) if value else ()),
    )
    return Representation(fields, (outline, acting), group), Representation(outputs, (acting,), group)


def outline_and_hand(group: Group, points: int, *, horizontal: bool = True) -> tuple[Representation, Representation]:
    """Points with targets and one hand; a yaw rate, which is an axial vector without gravity."""
    outline = EntitySet("points", ("point",) * points, exchangeable=True)
    acting = EntitySet("effectors", ("effector",), exchangeable=True)
    fields = (
        Field("point", "1x1o", "points", role="position", horizontal=horizontal),
        Field("target", "1x1o", "points", role="position", horizontal=horizontal),
        Field("hand", "1x1o", "effectors", role="position", horizontal=horizontal),
    )
    yaw = Field("yaw", "1x0o" if horizontal else "1x1e", "effectors")
    return Representation(fields, (outline, acting), group), Representation((yaw,), (acting,), group)


def shaken(in_rep: Representation, out_rep: Representation, group: Group | None = None, **options: object) -> Backbone:
    """A network in float64 with random weights, none of which is zero."""
    torch.manual_seed(0)
    net = build("hetero", in_rep, out_rep, group, **{"hidden": (16, 16), **options})
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return net.double()


def scenes(rep: Representation, count: int = 16, share: float = 0.7, seed: int = 0) -> Tensor:
    """Random vectors, in which the points are real with a given probability."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, rep.dim, dtype=torch.float64, generator=generator)
    if any(field.name == "real" for field in rep.fields):
        mask = rep.slices["real"]
        x[:, mask] = (torch.rand(x[:, mask].shape, generator=generator) < share).double()
    return x


def moved(rep: Representation, x: Tensor, by: Tensor) -> Tensor:
    """The same scenes, where everything that has a position is elsewhere by ``(3,)`` or ``(2,)``."""
    x = x.clone()
    for field in rep.fields:
        if field.role == "position":
            x[:, rep.slices[field.name]] += by[: field.width].to(x).repeat(rep.count(field))
    return x


def polygon(corners: int, points: int, radius: float = 0.05) -> Tensor:
    """Points on the outline of a regular polygon at equal distances from each other, ``(points, 2)``."""
    along = torch.arange(points, dtype=torch.float64) * corners / points
    corner = along.floor().long()
    angle = 2 * math.pi * torch.arange(corners + 1, dtype=torch.float64) / corners
    vertices = radius * torch.stack([angle.cos(), angle.sin()], dim=1)
    share = (along - corner)[:, None]
    return (1 - share) * vertices[corner] + share * vertices[corner + 1]


def turned(points: Tensor, angle: Tensor) -> Tensor:
    """Copies of points ``(n, 2)`` turned by angles ``(B,)``, ``(B, n, 2)``."""
    c, s = angle.cos(), angle.sin()
    matrices = torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2)
    return points @ matrices.mT


def yaw_errors(rep: Representation, corners: int, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Polygons anywhere, with targets turned by an angle that is below half of their symmetry; vectors and angles."""
    points = rep.entity_set("points").size
    shape = polygon(corners, points)
    yaw = 2 * math.pi * torch.rand(count, generator=generator, dtype=torch.float64)
    angle = (2 * torch.rand(count, generator=generator, dtype=torch.float64) - 1) * 0.9 * math.pi / corners
    centre = 0.2 * torch.randn(count, 1, 2, generator=generator, dtype=torch.float64)
    offset = 0.01 * torch.randn(count, 1, 2, generator=generator, dtype=torch.float64)
    here, there = centre + turned(shape, yaw), centre + offset + turned(shape, yaw + angle)
    parts = [here, there, centre]
    if rep.fields[0].width == 3:
        parts = [torch.cat([part, torch.zeros_like(part[..., :1])], dim=-1) for part in parts]
    return torch.cat([part.flatten(1) for part in parts], dim=1), angle
