"""Representations: homomorphism, the axial rule, entity sets, frames, orbits, typed spaces."""

import base64
import io
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from e3nn import o3
from groups import ANT, MIRROR
from gymnasium import spaces

from eqrl.symmetry import (
    O2,
    O3,
    SO2,
    SO3,
    EntitySet,
    Field,
    Representation,
    TypedBox,
    UntypedSpaceError,
    direct_sum,
    orbits,
    representation_of,
)
from eqrl.symmetry.irreps import parse_irreps

LEGS = EntitySet("legs", ("leg",) * 4)
RICH = (
    Field("height", "1x0e"),
    Field("hip", "0o", entities="legs"),
    Field("axes", "2x1o", entities="legs"),
    Field("spin", "1e"),
    Field("quadrupole", "2e + 2o"),
    Field("target", "1o", horizontal=True),
)


@pytest.mark.parametrize("group", [SO2, O2, ANT], ids=str)
def test_transform_is_a_homomorphism(group):
    rep = Representation(RICH, (LEGS,), group)
    a, b = group.sample(8, rng=1), group.sample(8, rng=2)
    x = torch.randn(8, rep.dim, dtype=torch.float64)
    torch.testing.assert_close(
        rep.transform(rep.transform(x, b), a), rep.transform(x, a.compose(b)), atol=1e-12, rtol=0
    )
    torch.testing.assert_close(rep.transform(rep.transform(x, a), a.inverse()), x, atol=1e-12, rtol=0)
    matrix = rep.matrix(a)
    torch.testing.assert_close(torch.einsum("bij,bj->bi", matrix, x), rep.transform(x, a), atol=1e-12, rtol=0)
    torch.testing.assert_close(
        matrix @ matrix.mT, torch.eye(rep.dim, dtype=torch.float64).expand_as(matrix), atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("text", ["1o", "2x0e + 1x1o", " 3 x 2e+0o", "0x1e", "", "12x10o", "2x1y + 1x2y", "1x1o+1x1o"])
def test_irreps_are_read_as_e3nn_reads_them(text):
    assert parse_irreps(text) == tuple((ir.l, ir.p) for count, ir in o3.Irreps(text) for _ in range(count))


@pytest.mark.parametrize("text", ["1z", "1", "o", "-1x1o", "1x1o +", "1x-1o", "1x1o 1x1e", "1.5x1o", "x1o", "1x1oo"])
def test_what_are_no_irreps_is_refused(text):
    with pytest.raises(ValueError, match="is no irrep"):
        parse_irreps(text)


def test_irreps_agree_with_e3nn():
    irreps = "2x0e + 0o + 1o + 1e + 2e + 3o"
    rep = Representation((Field("all", irreps),), (), O3)
    g = O3.sample(8, rng=0)
    expected = o3.Irreps(irreps).D_from_matrix(g.R.float()).double()
    torch.testing.assert_close(rep.matrix(g), expected, atol=1e-5, rtol=0)


def test_polar_and_axial_differ_by_the_determinant():
    rep = Representation((Field("velocity", "1o"), Field("torque", "1e"), Field("yaw_rate", "0o")), (), O3)
    r, f = np.array([1.0, 2.0, 3.0]), np.array([-0.5, 0.7, 0.2])
    mirror = O2.finite[0].element
    moved = rep.transform(np.concatenate([r, np.cross(r, f), [0.3]]), mirror)
    np.testing.assert_allclose(moved[:3], MIRROR @ r)
    # the torque of the mirrored force about the mirrored point
    np.testing.assert_allclose(moved[3:6], np.cross(MIRROR @ r, MIRROR @ f))
    assert moved[6] == -0.3


def test_entities_are_exchanged_as_wholes():
    rep = Representation((Field("foot", "1o + 0e", entities="legs"),), (LEGS,), ANT)
    x = np.arange(16.0)
    moved = rep.transform(x, dict(ANT.generators)["quarter turn"]).reshape(4, 4)
    np.testing.assert_array_equal(moved, np.roll(x.reshape(4, 4), 1, axis=0))


def test_body_frame_turns_with_the_body_and_not_with_the_world():
    axes = EntitySet("body", ("x", "y", "z"))
    rep = Representation((Field("gyro", "1e", frame="body"),), (axes,), SO2)
    x = np.array([0.1, 0.2, 0.3])
    np.testing.assert_array_equal(rep.transform(x, SO2.sample(rng=0)), x)


def test_dtype_and_kind_are_kept():
    rep = Representation((Field("v", "1o"),), (), SO3)
    g = SO3.sample(rng=0)
    assert rep.transform(np.ones(3, np.float32), g).dtype == np.float32
    assert rep.transform(torch.ones(5, 3), g).dtype == torch.float32
    assert rep.transform(torch.ones(3), SO3.sample(7, rng=0)).shape == (7, 3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Field("v", "1z"), "not irreps"),
        (lambda: Field("v", "0x1o"), "empty"),
        (lambda: Field("v", "0e", horizontal=True), "vectors"),
        (lambda: Representation((Field("a", "0e"), Field("a", "0e"))), "unique"),
        (lambda: Representation((Field("a", "0e", entities="legs"),)), "legs"),
        (lambda: Representation((Field("a", "1o", horizontal=True),), (), SO3), "tilts"),
        (lambda: EntitySet("legs", ("leg",), edges=((0, 1),)), "outside"),
        (lambda: Representation((Field("a", "0e"),), (EntitySet("legs", ("leg",), mask="m"),)), "masked"),
        (lambda: direct_sum({}), "no representations"),
        (
            lambda: Representation((Field("a", "0e"),), (), SO2) + Representation((Field("b", "0e"),), (), O2),
            "different groups",
        ),
    ],
)
def test_bad_declarations_name_what_is_wrong(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_wrong_length_is_refused():
    with pytest.raises(ValueError, match="length 3"):
        Representation((Field("v", "1o"),), (), SO3).transform(np.ones(4), SO3.identity())


def test_orbits_know_what_may_be_scaled_and_shifted():
    rep = Representation(
        (
            Field("h", "0e"),
            Field("v", "1o"),
            Field("hip", "0o", entities="legs"),
            Field("ankle", "0e", entities="legs"),
        ),
        (LEGS,),
        ANT,
    )
    whole = orbits(rep)
    assert whole.index.tolist() == [0, 1, 1, 2, 3, 3, 3, 3, 4, 4, 4, 4]
    assert whole.offset.tolist() == [True, False, True, False, True]
    rotations = orbits(rep, SO2)
    assert rotations.count == 11
    assert rotations.offset.tolist() == [True, False, True] + [True] * 8
    free = orbits(rep.with_group(SO3))
    assert free.index.tolist()[:4] == [0, 1, 1, 1]
    mirrored = orbits(Representation((Field("z", "1e"),), (), O2))
    assert mirrored.offset.tolist() == [False, False]


@pytest.mark.parametrize("group", [SO2, O2, ANT], ids=str)
def test_orbit_scales_commute_with_the_group(group):
    rep = Representation(RICH, (LEGS,), group)
    partition = orbits(rep)
    scale = torch.rand(partition.count, dtype=torch.float64)[partition.index]
    offset = (torch.rand(partition.count, dtype=torch.float64) * partition.offset)[partition.index]
    x, g = torch.randn(8, rep.dim, dtype=torch.float64), group.sample(8, rng=0)
    torch.testing.assert_close(
        rep.transform(x * scale + offset, g), rep.transform(x, g) * scale + offset, atol=1e-12, rtol=0
    )


def test_typed_box_survives_pickling_and_compares_its_type():
    rep = Representation(RICH, (LEGS,), ANT)
    box = TypedBox(rep)
    again = pickle.loads(pickle.dumps(box))
    assert again == box
    assert again.representation == rep
    assert box != TypedBox(rep.with_group(SO2))
    assert box != spaces.Box(-np.inf, np.inf, (rep.dim,))


def test_pickled_spaces_hold_no_tensors():
    """``torch.load(..., map_location="cuda")`` would move them, and half of the group's matrices with them."""

    class NoTensors(pickle.Pickler):
        def persistent_id(self, thing):
            assert not isinstance(thing, torch.Tensor)

    for group in (ANT, O2, SO3):
        box = TypedBox(
            Representation(RICH if group == ANT else (Field("v", "1o"),), (LEGS,) if group == ANT else (), group)
        )
        box.sample()
        _ = (
            group.cosets,
            group.is_subgroup_of(SO3),
            orbits(box.representation),
            box.representation.matrix(group.sample(rng=0)),
        )
        NoTensors(io.BytesIO()).dump(box)
        assert pickle.loads(pickle.dumps(box)).representation.group.is_subgroup_of(group)


def test_bounded_vectors_are_sampled_from_their_ball():
    box = TypedBox(Representation((Field("v", "1o"), Field("grip", "0e")), (), SO3), -2.0, 2.0, seed=0)
    x = np.stack([box.sample() for _ in range(4000)])
    length = np.linalg.norm(x[:, :3], axis=1)
    assert length.max() <= 2.0
    assert np.isclose((length**3).mean() / 8, 0.5, atol=0.03)  # uniform in the ball
    assert np.abs(x[:, :3].mean(0)).max() < 0.06
    assert np.isclose(x[:, 3].std(), 4 / np.sqrt(12), rtol=0.05)
    assert all(box.contains(row) for row in x.astype(np.float32)[:10])


def test_a_box_that_is_not_round_names_its_field():
    rep = Representation((Field("grip", "0e"), Field("velocity", "1o")), (), SO3)
    with pytest.raises(ValueError, match="velocity"):
        TypedBox(rep, np.array([-1, -1, -1, -1.0]), np.array([1, 1, 1, 2.0]))
    with pytest.raises(ValueError, match="4 entries"):
        TypedBox(rep, -np.ones(3), np.ones(3))


def test_dict_spaces_are_direct_sums_in_sorted_order():
    typed = TypedBox(Representation((Field("p", "1o"),), (), SO3))
    space = spaces.Dict({"b": typed, "a": TypedBox(Representation((Field("v", "0e"),), (), SO3))})
    assert [f.name for f in representation_of(space).fields] == ["a/v", "b/p"]
    with pytest.raises(UntypedSpaceError, match="'c'"):
        representation_of(spaces.Dict({"b": typed, "c": spaces.Box(0, 1, (2,))}))
    with pytest.raises(UntypedSpaceError, match="TypedBox"):
        representation_of(spaces.Box(0, 1, (2,)))


def test_entities_of_different_kinds_cannot_be_exchanged():
    mixed = EntitySet("legs", ("thigh", "shin", "thigh", "shin"))
    with pytest.raises(ValueError, match="exchanges 'shin' and 'thigh'"):
        Representation((Field("angle", "0e", entities="legs"),), (mixed,), ANT)
    with pytest.raises(ValueError, match="which has 3 entities"):
        Representation((Field("angle", "0e", entities="legs"),), (EntitySet("legs", ("leg",) * 3),), ANT)


def test_one_entry_of_a_dict_can_mask_all_of_them():
    masked, plain = EntitySet("limbs", ("limb",) * 3, mask="real"), EntitySet("limbs", ("limb",) * 3)
    total = direct_sum(
        {
            "b": Representation(
                (Field("real", "0e", entities="limbs"), Field("p", "1o", entities="limbs")), (masked,), SO2
            ),
            "a": Representation((Field("goal", "1o", entities="limbs"),), (plain,), SO2),
        }
    )
    assert total.entities == (EntitySet("limbs", ("limb",) * 3, mask="b/real"),)
    with pytest.raises(ValueError, match="'1x0e' over that set"):
        Representation((Field("real", "1o"), Field("p", "1o", entities="limbs")), (masked,), SO2)


def test_masks_are_part_of_the_entity_set():
    padded = EntitySet("limbs", ("torso", "leg", "leg"), edges=((0, 1), (0, 2)), mask="real")
    rep = Representation((Field("real", "0e", entities="limbs"), Field("p", "1o", entities="limbs")), (padded,), SO2)
    assert rep.prefixed("observation").entities[0].mask == "observation/real"


# ---------------------------------------------------------------------- files
# written by version 0.1.0, when entity sets were not exchangeable
OLD = (
    "gASV7AEAAAAAAACMHGVxcmwuc3ltbWV0cnkucmVwcmVzZW50YXRpb26UjA5SZXByZXNlbnRhdGlvbpSTlCmBlH2UKIwGZmllbGRzlGgAjAVGaWVsZJSTlCmB"
    "lH2UKIwEbmFtZZSMBHJlYWyUjAZpcnJlcHOUjAQxeDBllIwIZW50aXRpZXOUjAVsaW1ic5SMBWZyYW1llIwFd29ybGSUjApob3Jpem9udGFslImMBHJvbGWU"
    "jACUjAZjb3BpZXOUSwBLAYaUhZSMBXdpZHRolEsBdWJoBymBlH2UKGgKjARnb2FslGgMjAQxeDFvlGgOTmgQaBFoEoloE2gbaBVLAUr/////hpSFlGgYSwN1"
    "YoaUaA5oAIwJRW50aXR5U2V0lJOUKYGUfZQoaApoD4wFa2luZHOUjANhcm2UaCWMA2xlZ5SHlIwFZWRnZXOUSwBLAoaUhZSMBG1hc2uUaAt1YoWUjAVncm91"
    "cJSME2Vxcmwuc3ltbWV0cnkuZ3JvdXCUjAVHcm91cJSTlCmBlH2UKGgKjANTTzKUjAljb25uZWN0ZWSUaDOMBmZpbml0ZZQpdWKMA2RpbZRLBowGc2xpY2Vz"
    "lH2UKGgLjAhidWlsdGluc5SMBXNsaWNllJOUSwBLA06HlFKUaBtoO0sDSwZOh5RSlHV1Yi4="
)


def test_pickles_without_the_new_attributes_still_load():
    old = pickle.loads(base64.b64decode(OLD))
    limbs = EntitySet("limbs", ("arm", "arm", "leg"), ((0, 2),), mask="real")
    new = Representation((Field("real", "1x0e", "limbs"), Field("goal", "1x1o", role="goal")), (limbs,), SO2)
    assert old == new
    assert hash(old) == hash(new)
    assert not old.entities[0].exchangeable
    assert replace(old.entities[0], exchangeable=True) != limbs
    assert old + new.prefixed("other") is not None
    assert pickle.loads(pickle.dumps(replace(new, entities=(replace(limbs, exchangeable=True),)))) != new
