"""The values of a batch of simulations, by name."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch

from eqrl.arrays import Floats
from eqrl.envs.core.layout import StateLayout
from eqrl.envs.core.views import Index, Views, evenly, of_representation
from eqrl.errors import suggestion
from eqrl.symmetry import Representation

_FREE = int(mujoco.mjtJoint.mjJNT_FREE)


class World:
    """What tasks read and write: values by name, with the leading axis of simulations.

    ``world[i]`` is simulation ``i`` alone: the same names, without that axis.

    Attributes:
        data: fields of MuJoCo's ``MjData``, such as ``world.data.ctrl`` or ``world.data.site_xpos``, bound when first
            read.
        model: fields of MuJoCo's ``MjModel`` in which simulations may differ, such as ``world.model.geom_friction``, of
            shape ``(n, *)``; only :meth:`Task.fit_model` may write them.
        positions: joint positions by the names that the task's layout gives them, such as ``world.positions.hip``.
        velocities: joint velocities, likewise.
        bodies: bodies by their names in the model, such as ``world.bodies.torso``; see :class:`Body`.
        variables: the task's own state, by the names of its fields; what is not in the simulation, such as a target.
    """

    def __init__(self, batch: Batch, model: mujoco.MjModel, layout: StateLayout, variables: Representation) -> None:
        self._typed = (model, layout, variables)
        self._single: dict[int, World] = {}
        self.data = Data(batch)
        self.model = Model(batch)
        self._fill(np.zeros((batch.nsim, variables.dim)))

    def _fill(self, variables: Floats) -> None:
        model, layout, representation = self._typed
        self.variable_array = variables
        self.variables = of_representation("the task's own state", variables, representation)
        self.positions = _joints("positions", self.data.qpos, layout, "qpos")
        self.velocities = _joints("velocities", self.data.qvel, layout, "dof")
        self.bodies = Bodies(model, self.data)

    def __getitem__(self, i: int) -> World:
        """Simulation ``i`` alone."""
        if i not in self._single:
            world = self._single[i] = object.__new__(World)
            world._typed = self._typed
            world.data = Row(self.data, i)
            world.model = ModelRow(self.model, i)
            world._fill(self.variable_array[i])
        return self._single[i]


class Data:
    """MuJoCo's data, field by field; the state may be written, everything else is current after each step."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_batch" not in self.__dict__:
            raise AttributeError(name)
        try:
            array = self._batch.bind(name)
        except ValueError:
            from mujoco.batch import DATA_FIELDS

            raise AttributeError(f"MuJoCo's data has no {name!r}; {suggestion(name, DATA_FIELDS)}") from None
        if not array.flags.writeable:
            # fields fill with the first computation after they are bound
            self._batch.forward(stage=mujoco.mjtStage.mjSTAGE_VEL)
        self.__dict__[name] = array
        return array


class Row(Data):
    """The data of one simulation."""

    def __init__(self, data: Data, i: int) -> None:
        self._batch = data._batch
        self._data = data
        self._i = i

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_i" not in self.__dict__:
            raise AttributeError(name)
        row = getattr(self._data, name)[self._i : self._i + 1]
        self.__dict__[name] = row.reshape(row.shape[1:])
        return self.__dict__[name]


class Model:
    """Fields of MuJoCo's model, one value a simulation."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_batch" not in self.__dict__:
            raise AttributeError(name)
        try:
            array = self._batch.expand(name)
        except ValueError:
            from mujoco.batch import MODEL_FIELDS

            raise AttributeError(f"MuJoCo's model has no {name!r}; {suggestion(name, MODEL_FIELDS)}") from None
        self.__dict__[name] = array
        return array


class ModelRow(Model):
    """The model of one simulation."""

    def __init__(self, model: Model, i: int) -> None:
        self._batch = model._batch
        self._model = model
        self._i = i

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_i" not in self.__dict__:
            raise AttributeError(name)
        row = getattr(self._model, name)[self._i]
        self.__dict__[name] = row
        return row


class Body(Views):
    """One body: where it is, how it moves.

    Attributes:
        position: of its frame in the world, m, ``(*batch, 3)``.
        axes: its x, y and z axis in the world, ``(*batch, 3 axes, 3)``.
        quaternion: of a free or mocap body, w, x, y, z, ``(*batch, 4)``.
        velocity: of a free body's origin, along the world's axes, m/s, ``(*batch, 3)``.
        angular_velocity: of a free body, along its own axes, rad/s, ``(*batch, 3)``.

    Those of a free body and the pose of a mocap body may be written.
    """

    _body: int
    _data: Data

    def __init__(self, model: mujoco.MjModel, data: Data, name: str) -> None:
        body = model.body(name).id
        self.__dict__.update(_body=body, _data=data)
        joint = int(model.body_jntadr[body])
        if joint >= 0 and model.jnt_type[joint] == _FREE:
            at, dof = int(model.jnt_qposadr[joint]), int(model.jnt_dofadr[joint])
            self._add(data.qpos, position=slice(at, at + 3), quaternion=slice(at + 3, at + 7))
            self._add(data.qvel, velocity=slice(dof, dof + 3), angular_velocity=slice(dof + 3, dof + 6))
        elif (mocap := int(model.body_mocapid[body])) >= 0:
            self.__dict__.update(position=data.mocap_pos[..., mocap, :], quaternion=data.mocap_quat[..., mocap, :])
        else:
            self.__dict__.update(position=data.xpos[..., body, :])
        self.__dict__.update(_owner=f"body {name!r}", _scattered={})

    def _add(self, array: Floats, **where: slice) -> None:
        self.__dict__.update({name: array[..., at] for name, at in where.items()})

    @cached_property
    def axes(self) -> Floats:
        """Its x, y and z axis in the world, ``(*batch, 3 axes, 3)``."""
        matrix = self._data.xmat[..., self._body, :]  # a view of what MuJoCo fills, so it is made once
        axes: Floats = matrix.reshape(*matrix.shape[:-1], 3, 3).swapaxes(-1, -2)
        return axes


class Bodies:
    """The bodies of a model by name; ``world.bodies["left hand"]`` where a name is no Python name."""

    def __init__(self, model: mujoco.MjModel, data: Data) -> None:
        self._model, self._data = model, data

    def __getattr__(self, name: str) -> Body:
        if name.startswith("__") or "_model" not in self.__dict__:
            raise AttributeError(name)
        names = [self._model.body(b).name for b in range(self._model.nbody)]
        if name not in names:
            raise AttributeError(f"the model has no body {name!r}; {suggestion(name, filter(None, names))}")
        body = self.__dict__[name] = Body(self._model, self._data, name)
        return body

    def __getitem__(self, name: str) -> Body:
        body: Body = getattr(self, name)
        return body


def _joints(what: str, array: Floats, layout: StateLayout, address: str) -> Views:
    counts = {entities.name: entities.size for entities in layout.entities}
    parts: dict[str, tuple[Index, tuple[int, ...]]] = {}
    for c in layout.coordinates:
        over = () if c.field.entities is None else (counts[c.field.entities],)
        parts[c.field.name] = (evenly(getattr(c, address)), over if c.field.width == 1 else (*over, c.field.width))
    for yaw in layout.yaws:
        parts[yaw.name] = (evenly([getattr(yaw, address)]), ())
    return Views(what, array, parts)
