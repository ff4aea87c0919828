"""Environments that are not ready-made but have the standard observation.

Symmetry derived from their model, and tried.
"""

import gymnasium
import numpy as np
import pytest
from bare_robots import patched
from gymnasium.envs.mujoco.ant_v5 import AntEnv

from eqrl import with_symmetry
from eqrl.declare import DeclarationError, SymmetryWarning
from eqrl.declare.layout import CannotTypeError, inertia_matrix, standard_fields
from eqrl.declare.links import link_images
from eqrl.declare.ready_made import spec_of
from eqrl.declare.types import Sets
from eqrl.derivation.remembered import derivation_of
from eqrl.proof.declared.motion import motion_of, pose_matrix, qpos_map
from eqrl.symmetry.quaternions import matrix_to_quaternion, quaternion_to_matrix

EQUAL = [
    (
        'armature="0.0080" axis="0 1 0" damping="5" name="right_hip_y"',
        'armature="0.01" axis="0 1 0" damping="5" name="right_hip_y"',
    ),
    (
        'name="right_knee" pos="0 0 .02" range="-160 -2"',
        'name="right_knee" pos="0 0 .02" range="-160 -2" stiffness="1"',
    ),
]


def orthogonal(rng, sign):
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q)) * sign


def test_the_patched_humanoid_is_exact(tmp_path):
    """The two typos of Gymnasium's model are all that breaks its mirror."""
    env = gymnasium.make("Humanoid-v5", xml_file=patched(tmp_path, "humanoid.xml", *EQUAL))
    assert spec_of(env) is None, "another model must not be taken for the ready-made one"
    typed = with_symmetry(env)
    assert [name for name, _ in typed.types.group.generators] == ["sagittal mirror"]
    assert typed.observation_space.representation.dim == 348


def test_an_ant_with_a_heavy_leg_keeps_one_mirror(tmp_path):
    """Of D4 only the reflection through the changed leg is left, and it does not fix x.

    So the task keeps a relabelling.
    """
    heavy = ('name="left_ankle_geom" size="0.08"', 'name="left_ankle_geom" size="0.09"')
    path = patched(tmp_path, "ant.xml", heavy)
    typed = with_symmetry(gymnasium.make("Ant-v5", xml_file=path))
    group = typed.types.group
    assert {round(float(np.linalg.det(e.R)), 6) for _, e in group.generators} == {-1.0}
    assert group.name in ("C2", "C2 with quaternion signs")


def test_an_ant_with_two_different_legs_has_none(tmp_path):
    changes = [
        (f'name="{leg}_ankle_geom" size="0.08"', f'name="{leg}_ankle_geom" size="{size}"')
        for leg, size in (("left", 0.09), ("right", 0.1))
    ]
    changes.append(('name="third_ankle_geom" size="0.08"', 'name="third_ankle_geom" size="0.11"'))
    with pytest.warns(SymmetryWarning, match="no symmetry"):
        typed = with_symmetry(gymnasium.make("Ant-v5", xml_file=patched(tmp_path, "ant.xml", *changes)))
    assert typed.types.group.order == 1


class Sideways(AntEnv):
    """Runs along +y, which the sagittal mirror would reverse."""

    def _get_rew(self, x_velocity, action):
        reward, info = super()._get_rew(0.0, action)
        return reward + self.data.qvel[1], info


class LeftLegLazy(AntEnv):
    """Pays for the effort of one leg only."""

    def control_cost(self, action):
        return float(np.square(action[:2]).sum())


def test_a_task_along_y_keeps_what_fixes_y():
    typed = with_symmetry(Sideways())
    R = typed.types.group.cosets.R.numpy()
    assert np.allclose(R[:, :, 1], [0.0, 1.0, 0.0])
    assert {round(float(r[0, 0])) for r in R} == {1, -1}
    assert typed.types.group.name == "D4 with quaternion signs"


def test_a_task_that_tells_legs_apart_keeps_less():
    typed = with_symmetry(LeftLegLazy())
    # what maps that leg to itself: the mirror through it, with the world mirrored likewise, fixes x no more
    assert typed.types.group.order in (1, 2, 4)
    assert "D4" not in typed.types.group.name


def test_generators_by_name_and_approximate_ones(tmp_path):
    only_one = patched(tmp_path, "humanoid.xml", EQUAL[0])
    with pytest.warns(SymmetryWarning, match=r"right_knee stiffness 0 vs left_knee 1.*approximate=True"):
        with_symmetry(gymnasium.make("Humanoid-v5", xml_file=only_one))
    typed = with_symmetry(gymnasium.make("Humanoid-v5", xml_file=only_one), approximate=True)
    assert typed.types.group.order == 2
    with pytest.raises(DeclarationError, match="keeps no generator 'mirror'"):
        with_symmetry(gymnasium.make("Humanoid-v5", xml_file=only_one), approximate=True, group="mirror")


def test_a_structure_that_does_not_fit_is_named():
    env = Sideways()
    env.observation_structure = {**env.observation_structure, "touch": 4}
    with pytest.raises(DeclarationError, match="describes 109 entries"):
        with_symmetry(env)
    with pytest.raises(CannotTypeError, match="'touch' of 4 entries"):
        standard_fields(env.model, env.observation_structure, [], Sets())


# ------------------------------------------------------------------ parts
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_quaternions_turn_as_their_poses_do(sign):
    rng = np.random.default_rng(0)
    for _ in range(20):
        R, own = orthogonal(rng, sign), orthogonal(rng, sign)
        q = rng.standard_normal(4)
        q /= np.linalg.norm(q)
        matrix = pose_matrix(R, own)
        expected = matrix_to_quaternion(R @ quaternion_to_matrix(q) @ own.T)
        moved = matrix @ q
        assert min(np.abs(moved - expected).max(), np.abs(moved + expected).max()) < 1e-12
        assert np.allclose(matrix @ matrix.T, np.eye(4))


def test_a_mirror_is_its_own_inverse_on_quaternions():
    mirror = np.diag([1.0, -1.0, 1.0])
    assert np.array_equal(pose_matrix(mirror, mirror), np.diag([1.0, -1.0, 1.0, -1.0]))


def test_states_and_positions_turn_alike():
    model = gymnasium.make("Ant-v5").unwrapped.model
    rng = np.random.default_rng(1)
    from eqrl.proof.declared.motion import TwinState

    for symmetry in derivation_of(model).elements():
        matrix, offset = qpos_map(symmetry)
        qpos = rng.standard_normal(model.nq)
        qpos[3:7] /= np.linalg.norm(qpos[3:7])
        moved = motion_of(symmetry).state(TwinState(qpos, np.zeros(model.nv), np.zeros(0), np.zeros(model.nu)))
        assert np.allclose(moved.qpos, matrix @ qpos + offset)


def test_inertias_turn_as_tensors():
    rng = np.random.default_rng(2)
    R = orthogonal(rng, -1.0)
    tensor = rng.standard_normal((3, 3))
    tensor += tensor.T
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    vector = np.array([*(tensor[p] for p in pairs), 1.0, 2.0, 3.0, 4.0])
    moved = inertia_matrix(R) @ vector
    there = R @ tensor @ R.T
    assert np.allclose(moved, [*(there[p] for p in pairs), *(R @ [1.0, 2.0, 3.0]), 4.0])


def test_coincident_links_are_told_apart():
    """The upper legs of the ant have one frame, and still each goes to the leg at which its shape points."""
    model = gymnasium.make("Ant-v5").unwrapped.model
    names = {model.body(b).name: b for b in range(model.nbody)}
    mirror = next(s for s in derivation_of(model).dynamic if s.name == "sagittal mirror")
    images = link_images(mirror)
    assert images[names["front_left_leg"]] == names["right_back_leg"]  # at (0.2, 0.2) and (0.2, -0.2)
    assert images[names["front_right_leg"]] == names["back_leg"]
    assert sorted(images) == list(range(model.nbody))
