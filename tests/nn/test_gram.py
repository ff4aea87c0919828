"""The backward pass of the inner products against numerical derivatives."""

from __future__ import annotations

import pytest
import torch

from eqrl.nn.gram import Gram

TURNED = torch.cat([torch.triu_indices(3, 3), torch.triu_indices(3, 3, offset=1) + torch.tensor([[0], [3]])], dim=1)
CASES = {
    "all pairs": (torch.triu_indices(4, 4), 4, 1.0),
    "one channel": (torch.triu_indices(1, 1), 1, 1.0),
    "some pairs": (torch.tensor([[0, 2, 1], [1, 2, 3]]), 4, 1.0),
    "channels and the same turned": (TURNED, 6, 0.5),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", [(), (2,)])
def test_first_and_second_derivatives(case, shape):
    pairs, channels, share = CASES[case]
    gram = Gram(pairs, channels, 1.3, share).double()
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(*shape, channels, 3, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(gram, v)
    assert torch.autograd.gradgradcheck(gram, v)
    for i in (0, 1):  # only one of the outputs
        assert torch.autograd.gradcheck(lambda x, i=i: gram(x)[i], v)


@pytest.mark.parametrize("size", [0.0, 1e-20, 1e-6, 1e6, 1e12])
def test_gradients_are_finite_at_any_size(size):
    gram = Gram(torch.triu_indices(3, 3), 3, 1.0, 1.0)
    v = (size * torch.randn(3, 2, 5, generator=torch.Generator().manual_seed(0))).requires_grad_()
    divided, products = gram(v)
    (divided.sum() + products.sum()).backward()
    assert torch.isfinite(divided).all()
    assert torch.isfinite(products).all()
    assert torch.isfinite(v.grad).all()


def test_the_plain_form_is_the_same():
    gram = Gram(torch.triu_indices(3, 3), 3, 1.0, 1.0)
    v = torch.randn(3, 2, 5)
    with torch.no_grad():
        plain = gram(v)
    for a, b in zip(gram(v.requires_grad_()), plain, strict=True):
        assert torch.equal(a, b)
