"""Tokens: a flat vector and its tokens hold the same numbers, and the contents of padding are dropped."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from padded_env import representations, with_garbage

from eqrl.nn import Parts, Tokens, TokenSet
from eqrl.symmetry import O2, SO2, EntitySet, Field, Representation, random_exchange

BODY = EntitySet("body", ("axis",) * 3)
EVERYTHING = Representation(
    (
        Field("flat", "1x1o", horizontal=True),
        Field("real", "1x0e", "swarm"),
        Field("parent", "3x0e", "swarm", role="parent"),
        Field("where", "1x1o", "swarm", role="position"),
        Field("mixed", "1x1e + 2x0o + 1x2e + 1x1o", "swarm"),
        Field("pushed", "1x1e", "swarm", horizontal=True),
        Field("height", "2x0e + 1x3o"),
        Field("gyro", "1x1e", frame="body"),
        Field("arms", "1x1o + 1x0e", "arms"),
        Field("felt", "1x1o", "arms", frame="body"),
    ),
    (EntitySet("swarm", ("member",) * 3, mask="real", exchangeable=True), EntitySet("arms", ("left", "right")), BODY),
    O2,
)


def batch(rep, n=6, seed=0):
    rng = np.random.default_rng(seed)
    x = torch.as_tensor(rng.standard_normal((n, rep.dim)))
    x[:, rep.slices["real"]] = torch.as_tensor(rng.random((n, x[:, rep.slices["real"]].shape[1])) < 0.6).double()
    return x


def test_round_trip():
    tokens = Tokens(EVERYTHING).double()
    x = batch(EVERYTHING)
    clean = with_garbage(EVERYTHING, x, 0.0, np.random.default_rng(0))
    for size in (0.0, 1.0, np.inf):
        dirty = with_garbage(EVERYTHING, x, size, np.random.default_rng(1))
        assert torch.equal(tokens.join(tokens.split(dirty)), clean)
    assert not torch.equal(x, clean)
    assert torch.equal(copy.deepcopy(tokens).join(tokens.split(x)), clean)
    assert tokens.float().join(tokens.split(x.float())).dtype == torch.float32


def test_channels_are_what_the_types_say():
    tokens = Tokens(EVERYTHING).double()
    x = batch(EVERYTHING)
    x[:, EVERYTHING.slices["real"]] = 1.0
    parts, types = tokens.split(x), tokens.types["swarm"]
    members = parts.sets["swarm"]
    assert [(b.field.name, b.parity) for b in types.vectors] == [("mixed", 1), ("mixed", -1), ("pushed", 1)]
    assert [(b.field.name, b.parity, b.copy) for b in types.scalars] == [("mixed", -1, 1), ("mixed", -1, 2)]
    assert [b.field.name for b in types.tensors[2]] == ["mixed"]
    mixed = x[:, EVERYTHING.slices["mixed"]].reshape(6, 3, 13)
    assert torch.equal(members.vectors[:, :, 0], mixed[..., :3])
    assert torch.equal(members.scalars, mixed[..., 3:5])
    assert torch.equal(members.tensors[2][:, :, 0], mixed[..., 5:10])
    assert torch.equal(members.vectors[:, :, 1], mixed[..., 10:])
    assert torch.equal(members.vectors[:, :, 2, :2].flatten(1), x[:, EVERYTHING.slices["pushed"]])
    assert not members.vectors[:, :, 2, 2].any()  # a horizontal vector has no z
    assert torch.equal(members.positions.flatten(1), x[:, EVERYTHING.slices["where"]])
    assert torch.equal(members.edges.flatten(1), x[:, EVERYTHING.slices["parent"]])
    assert members.mask.all()
    # globals are one token; numbers in the frame of a body are scalars
    assert [b.field.name for b in tokens.types[""].scalars] == ["height", "height", "gyro", "gyro", "gyro"]
    assert {b.frame for b in tokens.types[""].scalars} == {"world", "body"}
    assert parts.globals.scalars.shape == (6, 1, 5)
    assert parts.globals.vectors.shape == (6, 1, 1, 3)
    assert list(parts.globals.tensors) == [3]
    arms = parts.sets["arms"]
    assert arms.scalars.shape == (6, 2, 4)
    assert arms.edges is None
    assert arms.positions is None
    assert tokens.types["arms"].kinds.tolist() == [0, 1]


def test_masked_slots_are_zero_whatever_stands_in_them():
    x = with_garbage(EVERYTHING, batch(EVERYTHING), np.inf, np.random.default_rng(0))
    members = Tokens(EVERYTHING).double().split(x).sets["swarm"]
    assert 0 < int(members.mask.sum()) < members.mask.numel()
    for part in (members.scalars, members.vectors, members.tensors[2], members.positions, members.edges):
        assert not part[~members.mask].any()
    assert not members.edges.mT[~members.mask].any()
    assert members.scalars[members.mask].all()


def test_tokens_move_with_their_members():
    tokens = Tokens(EVERYTHING).double()
    x = batch(EVERYTHING, n=20)
    g = random_exchange(EVERYTHING, 20, rng=0)
    before, after = tokens.split(x), tokens.split(EVERYTHING.transform(x, g))
    order = g.h["swarm"].argmax(-1)
    rows = torch.arange(20)[:, None]
    for name in ("scalars", "vectors", "mask", "positions"):
        assert torch.equal(getattr(after.sets["swarm"], name), getattr(before.sets["swarm"], name)[rows, order])
    edges = before.sets["swarm"].edges[rows, order].mT[rows, order].mT
    assert torch.equal(after.sets["swarm"].edges, edges)
    assert torch.equal(after.globals.vectors, before.globals.vectors)
    assert torch.equal(after.sets["arms"].vectors, before.sets["arms"].vectors)


def test_an_action_is_made_of_the_tokens_of_the_observation():
    observation, action = representations(slots=4)
    x = batch(observation, n=3)
    members = Tokens(observation).double().split(x).sets["swarm"]
    types = Tokens(action).types
    assert [b.field.name for b in types["swarm"].vectors] == ["force"]
    forces = TokenSet(scalars=members.scalars[..., :1] + 1, vectors=members.vectors[:, :, :1], mask=members.mask)
    push = TokenSet(vectors=torch.ones(3, 1, 1, 3).double())
    a = Tokens(action).double().join(Parts({"swarm": forces}, push))
    padding = ~members.mask
    assert not a[:, action.slices["force"]].view(3, 4, 3)[padding].any()
    assert not a[:, action.slices["brake"]][padding].any()  # although 1 was asked for
    assert torch.equal(a[:, action.slices["push"]], torch.ones(3, 3).double())


def test_missing_and_misshapen_tokens():
    _, action = representations(slots=4)
    tokens = Tokens(action)
    good = TokenSet(scalars=torch.zeros(2, 4, 1), vectors=torch.zeros(2, 4, 1, 3))
    push = TokenSet(vectors=torch.zeros(2, 1, 1, 3))
    assert tokens.join(Parts({"swarm": good}, push)).shape == (2, action.dim)
    with pytest.raises(ValueError, match="tokens of entity set 'swarm' are missing"):
        tokens.join(Parts({}, push))
    with pytest.raises(ValueError, match=r"scalars of entity set 'swarm' are missing.*\(B, 4, 1\)"):
        tokens.join(Parts({"swarm": TokenSet(vectors=good.vectors)}, push))
    with pytest.raises(ValueError, match=r"global vectors are of shape \(2, 1, 2, 3\).*\(B, 1, 1, 3\)"):
        tokens.join(Parts({"swarm": good}, TokenSet(vectors=torch.zeros(2, 1, 2, 3))))


def test_gradients_pass_both_ways():
    tokens = Tokens(EVERYTHING).double()
    x = batch(EVERYTHING).requires_grad_()
    tokens.join(tokens.split(x)).square().sum().backward()
    clean = with_garbage(EVERYTHING, x, 0.0, np.random.default_rng(0))
    mask = EVERYTHING.slices["real"]
    expected = 2 * clean
    expected[:, mask] = 0.0  # a mask is not differentiable
    assert torch.equal(x.grad, expected)


def test_representations_without_entities():
    rep = Representation((Field("v", "1x1o"), Field("s", "2x0e")), (), SO2)
    parts = Tokens(rep).split(torch.randn(3, 5))
    assert parts.sets == {}
    assert parts.globals.scalars.shape == (3, 1, 2)
    assert Tokens(rep).join(parts).shape == (3, 5)


def test_tokens_that_are_not_real_are_put_together_as_zeros():
    tokens = Tokens(EVERYTHING).double()
    x = batch(EVERYTHING)
    parts = tokens.split(x)
    members = parts.sets["swarm"]

    def spoilt(part):
        return torch.where(members.mask.view(*members.mask.shape, *[1] * (part.dim() - 2)), part, torch.nan)

    edges = torch.where(members.mask[:, None], spoilt(members.edges), torch.nan)
    spoiled = replace(
        members,
        scalars=spoilt(members.scalars),
        vectors=spoilt(members.vectors),
        tensors={2: spoilt(members.tensors[2])},
        positions=spoilt(members.positions),
        edges=edges,
    )
    clean = with_garbage(EVERYTHING, x, 0.0, np.random.default_rng(0))
    assert edges.isnan().any()
    assert torch.equal(tokens.join(Parts({**parts.sets, "swarm": spoiled}, parts.globals)), clean)
