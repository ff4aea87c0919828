"""Several networks in one pass: same outputs, same gradients, and nothing that other code can notice."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from nn_cases import network

from eqrl.nn import Ensemble, constants
from eqrl.symmetry import O2, O3, SO2, SO3

CASES = [("vector", SO2), ("vector", O2), ("vector", SO3), ("vector", O3), ("frame", SO2), ("steerable", O3)]
IDS = [f"{name}-{group}" for name, group in CASES]


def pair(name, group, role="q", n=2):
    members = [network(name, group, role, seed=i).double() for i in range(n)]
    x = torch.randn(7, members[0].in_rep.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return members, copy.deepcopy(members), x


@pytest.mark.parametrize(("name", "group"), CASES, ids=IDS)
@pytest.mark.parametrize("role", ["actor", "q"])
def test_values_and_gradients_are_those_of_the_members(name, group, role):
    members, alone, x = pair(name, group, role, n=3)
    x.requires_grad_()
    y = Ensemble(members)(x)
    expected = torch.stack([net(x) for net in alone])
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    # gradients with respect to input and parameters, and the second derivatives that a gradient penalty needs
    for outputs, networks in ((y, members), (expected, alone)):
        (slope,) = torch.autograd.grad(outputs.square().sum(), x, create_graph=True)
        slope.square().sum().backward(retain_graph=True)
        outputs.sum().backward()
        for net in networks:
            net.slope = slope.detach()
    torch.testing.assert_close(members[0].slope, alone[0].slope, rtol=1e-9, atol=1e-9)
    for net, reference in zip(members, alone, strict=True):
        for (key, p), q in zip(net.named_parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-8, atol=1e-8, msg=key)


@pytest.mark.parametrize(("name", "group"), CASES[:1] + CASES[-1:], ids=IDS[:1] + IDS[-1:])
def test_constant_parameters_get_no_gradient_and_the_input_gets_its_own(name, group):
    members, alone, x = pair(name, group)
    x.requires_grad_()
    frozen = next(members[0].parameters()).requires_grad_(False)
    (slope,) = torch.autograd.grad(Ensemble(members)(x, constant=True).sum(), x)
    (expected,) = torch.autograd.grad(torch.stack([net(x) for net in alone]).sum(), x)
    torch.testing.assert_close(slope, expected, rtol=1e-10, atol=1e-10)
    assert all(p.grad is None for net in members for p in net.parameters())
    assert [p.requires_grad for net in members for p in net.parameters()].count(False) == 1
    assert not frozen.requires_grad


def test_members_train_as_they_do_alone():
    members, alone, x = pair("vector", O3)
    ensemble = Ensemble(members)
    optimisers = [torch.optim.Adam([p for net in nets for p in net.parameters()], lr=1e-2) for nets in (members, alone)]
    for _ in range(20):
        for optimiser, y in zip(optimisers, (ensemble(x), torch.stack([net(x) for net in alone])), strict=True):
            optimiser.zero_grad()
            (y - 1.0).square().mean().backward()
            optimiser.step()
    for net, reference in zip(members, alone, strict=True):
        for p, q in zip(net.parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-7, atol=1e-9)


def test_new_weights_take_effect_whichever_way_they_come():
    members, others, x = pair("vector", SO2)
    ensemble = Ensemble(members)
    ensemble(x)
    for net, other in zip(members, others, strict=True):
        with torch.no_grad():
            for p in other.parameters():
                p.mul_(1.5)
        net.load_state_dict(other.state_dict())
    torch.testing.assert_close(ensemble(x), torch.stack([net(x) for net in others]), rtol=1e-12, atol=1e-12)
    for net in members:  # new tensors behind the same parameters
        for p in net.parameters():
            p.data = p.data * 2.0
    torch.testing.assert_close(ensemble(x), torch.stack([net(x) for net in members]), rtol=1e-12, atol=1e-12)
    for net in members:
        net.float()
    torch.testing.assert_close(
        ensemble(x.float()), torch.stack([net(x.float()) for net in members]), rtol=1e-4, atol=1e-5
    )


def test_copies_do_not_share_weights_with_the_original():
    members, _, x = pair("vector", SO3)
    ensemble = Ensemble(members)
    before = ensemble(x)
    twin = copy.deepcopy(ensemble)
    with torch.no_grad():
        for net in twin.members:
            for p in net.parameters():
                p.zero_()
    assert float(twin(x).detach().abs().max()) == 0.0
    assert torch.equal(ensemble(x), before)


def test_state_dicts_hold_each_member_on_its_own():
    members, alone, x = pair("vector", O2)
    Ensemble(members)(x)
    for net, reference in zip(members, alone, strict=True):
        assert list(net.state_dict()) == list(reference.state_dict())
        file = io.BytesIO()
        torch.save(net.state_dict(), file)
        file.seek(0)
        reference.load_state_dict(torch.load(file, weights_only=True))
        assert torch.equal(net(x), reference(x))


def test_an_interrupted_pass_leaves_the_members_whole():
    members, _, x = pair("vector", SO2)
    ensemble = Ensemble(members)
    with pytest.raises(IndexError):
        ensemble(x[0])
    assert all(isinstance(p, torch.nn.Parameter) for net in members for p in net.parameters())
    torch.testing.assert_close(ensemble(x)[0], members[0](x), rtol=1e-12, atol=1e-12)


def test_constants_come_back_after_an_error():
    members, _, _ = pair("vector", SO2)
    with pytest.raises(RuntimeError, match="stop"), constants(members):
        raise RuntimeError("stop")
    assert all(p.requires_grad for net in members for p in net.parameters())
