"""The layers of transformation networks against PyTorch's own."""

import pytest
import torch
from torch.nn import functional as F

from nst_core.layers import ConvLayer, InstanceNorm


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4), (torch.bfloat16, 0.03)])
def test_instance_norm_and_its_derivatives_are_pytorchs(dtype: torch.dtype, tolerance: float) -> None:
    generator = torch.Generator().manual_seed(0)
    norm = InstanceNorm(5)
    if dtype == torch.float64:
        norm.double()
    with torch.no_grad():
        norm.weight.copy_(torch.rand(5, generator=generator) + 0.5)
        norm.bias.copy_(torch.randn(5, generator=generator))
    x = (torch.randn(3, 5, 9, 8, generator=generator) * 2 + 1).to(dtype).contiguous(memory_format=torch.channels_last)
    gradient = torch.randn(x.shape, generator=generator).to(dtype)
    x.requires_grad_()
    ours = norm(x)
    assert ours.dtype == dtype and ours.is_contiguous(memory_format=torch.channels_last)
    found = torch.autograd.grad(ours, (x, norm.weight, norm.bias), gradient)

    exact, weight, bias = (t.detach().double().requires_grad_() for t in (x, norm.weight, norm.bias))
    theirs = F.instance_norm(exact, weight=weight, bias=bias)
    expected = torch.autograd.grad(theirs, (exact, weight, bias), gradient.double())
    for one, other in zip((ours, *found), (theirs, *expected), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=tolerance, atol=tolerance * float(other.detach().std()))


def test_second_derivatives_of_instance_norm_are_those_of_the_first() -> None:
    torch.manual_seed(0)
    norm = InstanceNorm(3).double()
    x = torch.randn(2, 3, 4, 3, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()
    # As it is called in a network, whose own parameters are fixed.
    norm.requires_grad_(False)
    assert torch.autograd.gradgradcheck(norm, x)
    # And the first are the same whether there are to be second ones or not.
    first, again = (torch.autograd.grad(norm(x).pow(3).sum(), x, create_graph=further)[0] for further in (False, True))
    torch.testing.assert_close(first, again.detach())


def test_edges_are_mirrored_in_the_dtype_of_the_convolution() -> None:
    layer, x = ConvLayer(3, 4, kernel_size=5), torch.rand(1, 3, 8, 9)
    seen = []
    layer.conv2d.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.autocast("cpu", torch.bfloat16):
        layer(x)
    layer(x)
    assert [one.dtype for one in seen] == [torch.bfloat16, torch.float32]
    assert torch.equal(seen[1], F.pad(x, [2] * 4, mode="reflect"))
