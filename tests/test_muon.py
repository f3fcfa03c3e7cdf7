"""Muon: orthogonal steps for kernels, of the size that it says, and Adam's for vectors."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from nst_core.muon import Muon, orthogonalised


def with_gradients(network: nn.Module) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    return list(network.parameters())


@pytest.mark.parametrize("layer", [nn.Conv2d(6, 4, 3), nn.Conv2d(3, 5, 1), nn.Conv2d(7, 7, 1)])
def test_a_kernels_step_is_orthogonal_and_of_a_fifth_of_the_rate(layer: nn.Module) -> None:
    optimizer = Muon(layer)
    kernel, bias = with_gradients(layer)
    gradient = kernel.grad
    assert gradient is not None
    before = kernel.detach().clone()
    optimizer.step(0.5)
    change = (before - kernel.detach()).flatten(1)
    values = torch.linalg.svdvals(change)
    assert values.min() > 0.4 * values.max()  # the gradient's own are further apart
    assert change.square().mean().sqrt() == pytest.approx(0.5 * 0.2, rel=0.35)
    assert (change * gradient.flatten(1)).sum() > 0  # downhill
    assert kernel.grad is None and bias.grad is None


@pytest.mark.parametrize("layer", [nn.Linear(5, 9, bias=False), nn.Linear(9, 5, bias=False)])
def test_matrices_step_as_pytorchs_own_muon(layer: nn.Linear) -> None:
    theirs = nn.Linear(layer.in_features, layer.out_features, bias=False)
    theirs.load_state_dict(layer.state_dict())
    ours = Muon(layer)
    pytorchs = torch.optim.Muon(theirs.parameters(), lr=0.02, weight_decay=0, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        with_gradients(layer)
        with_gradients(theirs)
        ours.step(0.02)
        pytorchs.step()
    torch.testing.assert_close(layer.weight, theirs.weight, rtol=0, atol=0.02 * 0.2 * 4 * 0.05)  # bfloat16's digits


def test_orthogonalised_keeps_the_directions_and_evens_their_lengths() -> None:
    matrix = torch.randn(6, 20, generator=torch.Generator().manual_seed(3), dtype=torch.float32)
    u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
    lengths = u.mT @ orthogonalised(matrix) @ vt.mT
    assert (lengths - lengths.diag().diag()).abs().max() < 0.05
    assert lengths.diag().min() > 0.6 and lengths.diag().max() < 1.3


def test_a_resumed_muon_goes_on_as_if_it_had_not_stopped() -> None:
    one, other = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
    optimizer = Muon(one)
    with_gradients(one)
    optimizer.step(0.01)
    other.load_state_dict(one.state_dict())
    resumed = Muon(other)
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))
    for network, steps in ((one, optimizer), (other, resumed)):
        with_gradients(network)
        steps.step(0.01)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_a_vectors_step_is_adams() -> None:
    ours, theirs = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
    theirs.load_state_dict(ours.state_dict())
    optimizer, adam = Muon(ours), torch.optim.Adam(theirs.parameters(), lr=0.01)
    for _ in range(3):
        with_gradients(ours)
        with_gradients(theirs)
        optimizer.step(0.01)
        adam.step()
    assert torch.equal(ours.get_parameter("bias"), theirs.get_parameter("bias"))
    assert not torch.equal(ours.get_parameter("weight"), theirs.get_parameter("weight"))


def test_a_single_number_learns() -> None:
    network = nn.Conv2d(3, 4, 3)
    network.gain = nn.Parameter(torch.tensor(1.0))
    optimizer = Muon(network)
    for _ in range(3):
        with_gradients(network)
        network.gain.grad = torch.tensor(2.0)
        optimizer.step(0.01)
    assert network.gain.item() == pytest.approx(0.97) and network.gain.grad is None


def test_what_does_not_learn_stays() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3))
    network[0].requires_grad_(False)
    optimizer = Muon(network)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    with_gradients(network)
    optimizer.step(0.1)
    moved = [not torch.equal(one, other) for one, other in zip(before, network.parameters(), strict=True)]
    assert moved == [False, False, True, True]
