"""Values by name: they are the array itself, and an unknown name is told."""

import gymnasium
import numpy as np
import pytest

import eqrl
from eqrl.envs.core.views import Views, evenly, of_representation


def test_fields_are_views_with_their_shapes():
    legs = eqrl.EntitySet("legs", ("leg",) * 4)
    rep = eqrl.Representation(
        (eqrl.Field("target", "1x1o"), eqrl.Field("mass", "1x0e"), eqrl.Field("hip", "1x0o", "legs"),
        eqrl.Field("foot", "1x1o", "legs")),
        (legs,),
    )  # fmt: skip
    array = np.arange(2.0 * rep.dim).reshape(2, -1)
    views = of_representation("state", array, rep)
    assert {name: getattr(views, name).shape for name in rep.slices} == {
        "target": (2, 3), "mass": (2,), "hip": (2, 4), "foot": (2, 4, 3),
    }  # fmt: skip
    for name, at in rep.slices.items():
        assert np.shares_memory(getattr(views, name), array)
        setattr(views, name, 7.0 + at.start)
        assert (array[:, at] == 7.0 + at.start).all()
    views.foot[1, 2] = (1.0, 2.0, 3.0)
    np.testing.assert_array_equal(rep.split(array)["foot"][1, 6:9], (1.0, 2.0, 3.0))


def test_one_row_is_written_through_its_views():
    rep = eqrl.Representation((eqrl.Field("a", "1x0e"), eqrl.Field("b", "1x1o")))
    array = np.zeros((3, 4))
    row = of_representation("state", array[1], rep)
    row.a = 5.0
    row.b += 1.0
    np.testing.assert_array_equal(array, [[0, 0, 0, 0], [5, 1, 1, 1], [0, 0, 0, 0]])


def test_scattered_coordinates_are_written_where_they_lie():
    array = np.zeros((2, 6))
    views = Views("joints", array, {"odd": (evenly([0, 1, 5]), (3,)), "even": (evenly([0, 2, 4]), (3,))})
    views.odd = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    np.testing.assert_array_equal(array[:, [0, 1, 5]], views.odd)
    assert array[0, 5] == 3.0
    assert np.shares_memory(views.even, array)
    assert not np.shares_memory(views.odd, array)


def test_unknown_names_are_told_and_never_kept():
    env = gymnasium.make("eqrl/AntTarget-v0").unwrapped
    world = env.simulation.world
    for owner, name, closest in (
        (world.variables, "tagret", "target"),
        (world.positions, "hips", "hip"),
        (world.bodies.torso, "velocty", "velocity"),
    ):
        with pytest.raises(AttributeError, match=f"did you mean '{closest}'"):
            getattr(owner, name)
        with pytest.raises(AttributeError, match=f"did you mean '{closest}'"):
            setattr(owner, name, 0.0)
    with pytest.raises(AttributeError, match="no body 'torsoo'; did you mean 'torso'"):
        _ = world.bodies.torsoo
    with pytest.raises(AttributeError, match="no 'xmatt'; did you mean 'xmat'"):
        _ = world.data.xmatt


def test_fields_of_mujoco_are_current_when_they_are_first_read_and_after_each_step():
    env = eqrl.make_vec("eqrl/AntTarget-v0", 3, seed=0)
    env.reset()
    world = env.unwrapped.simulation.world
    for _ in range(2):
        env.step(np.ones((3, 8), dtype=np.float32))
        torso = world.bodies.torso
        np.testing.assert_array_equal(world.data.xpos[:, 1], torso.position)
        np.testing.assert_allclose(torso.axes @ torso.axes.swapaxes(1, 2), np.tile(np.eye(3), (3, 1, 1)), atol=1e-12)
        np.testing.assert_array_equal(world[1].bodies.torso.axes, torso.axes[1])
        assert (world.data.geom_xpos[:, -1] != 0.0).any()
    with pytest.raises(ValueError, match="read-only"):
        world.data.xpos[0] = 0.0


def test_a_body_that_does_not_float_has_a_pose_and_no_velocity():
    world = gymnasium.make("eqrl/AntTarget-v0").unwrapped.simulation.world
    assert world.bodies["leg_0"].position.shape == (1, 3)
    with pytest.raises(AttributeError, match="body 'leg_0' has no 'velocity'"):
        _ = world.bodies.leg_0.velocity
