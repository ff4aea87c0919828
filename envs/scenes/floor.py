"""Parts that the models of several tasks share."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np


def new_spec(
    timestep: float, integrator: mujoco.mjtIntegrator, shadow_clip: float = 1.0, *, lit: bool = True
) -> mujoco.MjSpec:
    """An empty model with elliptic friction cones, a light and a sky.

    MuJoCo's default pyramidal cone breaks the rotation symmetry about gravity by centimetres.

    Args:
        timestep: seconds.
        integrator: of the simulation.
        shadow_clip: how far shadows are drawn, in extents of the model; where it does not fit, their edge shows as
            speckles.
        lit: whether a light stands above the origin; a robot that runs far carries its own (:func:`add_light`).
    """
    spec = mujoco.MjSpec()
    spec.option.timestep = timestep
    spec.option.integrator = integrator
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.tolerance = 1e-12  # the default 1e-8 leaves 1e-8 m of asymmetry in a push; this costs nothing
    # a diverged simulation must show as NaN; MuJoCo would otherwise put it back to the default state in mid-episode
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 1280, 960
    spec.visual.map.shadowclip = shadow_clip
    add_sky(spec)
    if lit:
        add_light(spec, spec.worldbody)
    return spec


def add_sky(spec: mujoco.MjSpec, name: str = "sky") -> None:
    """A pale sky, and haze at the horizon."""
    spec.visual.rgba.haze = [0.93, 0.95, 0.97, 1.0]
    spec.add_texture(
        name=name, type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.93, 0.95, 0.97], rgb2=[0.72, 0.8, 0.88], width=64, height=384,
    )  # fmt: skip


def add_light(spec: mujoco.MjSpec, body: Any) -> None:
    """A light that throws shadows, above a body with which it goes, and one from the camera.

    Shadows end some metres from where a light is.
    """
    spec.visual.headlight.ambient = [0.35, 0.35, 0.35]
    spec.visual.headlight.diffuse = [0.3, 0.3, 0.3]
    light = body.add_light(pos=[0, 0, 6], dir=[0.2, 0.1, -1.0], diffuse=[0.35, 0.35, 0.35])
    light.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    light.mode = mujoco.mjtCamLight.mjCAMLIGHT_TRACK


def add_floor(
    spec: mujoco.MjSpec, friction: float, check: float = 1.0, *, name: str = "floor", look: str = "grid", **geom: object
) -> None:
    """An infinite plane at height 0, checkered with squares of ``check`` metres.

    Args:
        spec: the model.
        friction: sliding friction.
        check: metres.
        name: of the geom.
        look: name of its texture and material.
        geom: further attributes of the geom.
    """
    spec.add_texture(
        name=look, type=mujoco.mjtTexture.mjTEXTURE_2D, builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=[0.86, 0.88, 0.9], rgb2=[0.78, 0.81, 0.84], width=256, height=256,
    )  # fmt: skip
    material = spec.add_material(name=look, texrepeat=[0.5 / check, 0.5 / check], texuniform=True)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = look
    spec.worldbody.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[0, 0, 1],
        material=look,
        friction=[friction, 0.005, 0.0001],
        **geom,
    )


def look_at(position: tuple[float, float, float], target: tuple[float, float, float]) -> list[float]:
    """``xyaxes`` of a camera at ``position`` that looks at ``target`` with +z up."""
    back = np.subtract(position, target).astype(float)
    back /= np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    return [*right.tolist(), *np.cross(back, right).tolist()]


def add_camera(
    spec: mujoco.MjSpec, position: tuple[float, float, float], target: tuple[float, float, float], fovy: float
) -> None:
    """A camera that stands still and looks at ``target``, ``fovy`` degrees high."""
    spec.worldbody.add_camera(name="fixed", pos=position, xyaxes=look_at(position, target), fovy=fovy)
