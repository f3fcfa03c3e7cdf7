"""The fast path in strips gives what the network gives layer by layer, at every size, cut anywhere, on any threads."""

import inspect
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, product
from pathlib import Path

import pytest
import torch
from made_styles import lively_state
from torch import Tensor
from torch.nn import functional as F

from nst_core import memory, streaming, winograd
from nst_core.architectures import ARCHITECTURES
from nst_core.architectures.johnson import JohnsonNetwork
from nst_core.errors import NSTError
from nst_core.layers import ConvLayer, InstanceNorm
from nst_core.registry import Registry
from nst_core.streaming import StripNetwork, enlarging_kernel, quickest_type


def lively_network() -> JohnsonNetwork:
    network = JohnsonNetwork()
    network.load_state_dict(lively_state())
    return network.eval()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def photograph(height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def layer_by_layer(network: JohnsonNetwork, photo: Tensor) -> Tensor:
    painted = network(photo.permute(2, 0, 1)[None].to(network.deconv3.conv2d.weight))[0].permute(1, 2, 0)
    return painted[: photo.shape[0], : photo.shape[1]]


def psnr(painted: Tensor, expected: Tensor) -> float:
    return -10 * ((painted - expected) / 255).double().square().mean().log10().item()


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """One, unless a test is parametrized with more, indirectly."""
    before, count = torch.get_num_threads(), getattr(request, "param", 1)
    torch.set_num_threads(count)
    yield count
    torch.set_num_threads(before)


ONE_THREAD = [*product([(5, 5), (16, 21), (97, 70), (130, 64)], [2**12, 2**20], [4, 2, 1], [1])]
# Few: they wait for each other where other tests have the second core.
TWO_THREADS = [((16, 21), 2**12, 1, 2), ((16, 21), 2**20, 4, 2)]


@pytest.mark.parametrize(("size", "strip", "kept", "threads"), ONE_THREAD + TWO_THREADS, indirect=["threads"])
def test_it_is_the_network(
    size: tuple[int, int], strip: int, kept: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "STRIP", {torch.float32: strip})
    monkeypatch.setattr(streaming, "LEAST", 4)
    monkeypatch.setattr(StripNetwork, "_kept", lambda *size: kept)
    network, photo = lively_network(), photograph(*size)
    expected = layer_by_layer(network, photo)
    fast = StripNetwork(network)
    strips = list(fast.strips(photo))
    painted = torch.cat([values for _, values in strips])
    assert [row for row, _ in strips] == [sum(len(values) for _, values in strips[:n]) for n in range(len(strips))]
    assert painted.shape == expected.shape and psnr(painted, expected) > 100
    rounded = expected.round().clamp(0, 255)
    assert (fast(photo) - rounded).abs().max() <= 1 and (fast(photo) != rounded).float().mean() < 1e-3
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("id", ["johnson", "johnson-lite"])
def test_every_shape_of_it_is_fast(id: str) -> None:
    torch.manual_seed(0)
    architecture = ARCHITECTURES[id]
    assert architecture.fast is StripNetwork
    network = architecture.network().eval()
    assert isinstance(network, JohnsonNetwork)
    for parameter in network.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, 1 if parameter.mean() > 0.5 else 0, 0.3)
    with torch.no_grad():
        network.in1.weight[:3] = torch.tensor([-0.5, 0, 1])  # trained ones may be negative, or 0
        network.in5.weight[:4], network.in5.bias[:4] = torch.tensor([[-0.5, 0, 0, 1], [0.1, 0.1, -0.1, 0]])
    photo = photograph(61, 90)
    painted = torch.cat([values for _, values in StripNetwork(network).strips(photo)])
    assert psnr(painted, layer_by_layer(network, photo)) > 100


def test_bfloat16_is_near() -> None:
    network, photo = Registry.load().open("udnie-lite").network, photograph(61, 90)
    assert isinstance(network, JohnsonNetwork)
    expected = layer_by_layer(network, photo)
    painted = torch.cat([values for _, values in StripNetwork(network, torch.bfloat16).strips(photo)])
    assert painted.dtype == torch.float32
    assert 38 < psnr(painted, expected) < 90  # and it is another arithmetic than float32's


def test_a_faint_photograph_is_as_good() -> None:
    network = Registry.load().open("udnie-lite").network
    assert isinstance(network, JohnsonNetwork)
    photo = 200 + photograph(61, 90) // 64
    expected = layer_by_layer(network, photo)
    for dtype, least in ((torch.float32, 100), (torch.bfloat16, 50)):
        painted = torch.cat([values for _, values in StripNetwork(network, dtype).strips(photo)])
        assert psnr(painted, expected) > least


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_photograph_of_one_colour_is_painted_in_one_colour(dtype: torch.dtype) -> None:
    network, photo = lively_network(), torch.tensor([200, 37, 128], dtype=torch.uint8).expand(40, 50, 3)
    parts: list[float] = []
    fast = StripNetwork(network, dtype)
    painted = fast(photo, parts.append)
    assert parts == [1]
    assert max(len(values) for _, values in fast.strips(photo)) < 20  # or a large one would be float32 as a whole
    for module in network.modules():
        if isinstance(module, InstanceNorm):
            module.eps = 1e9  # nothing to one colour, but with less every one of them magnifies what was rounded
    expected = layer_by_layer(network.double(), photo.double())
    assert painted.shape == photo.shape and (painted == painted[0, 0]).all()
    assert (painted - expected.clamp(0, 255)).abs().max() < 0.6


@torch.inference_mode()
def test_statistics_hold_where_a_mean_is_large() -> None:
    strips = [1000 + noise(7, 30, 4), -3 * noise(5, 30, 4, seed=1) + 1000]
    layer, norm = ConvLayer(4, 4, 3), InstanceNorm(4)
    whole = torch.cat(strips)
    made = streaming._Map(12, 30, 4, torch.float32, lambda low, high: whole[low:high])
    streaming._Run(1, 7, streaming._Room(0, 1, torch.float32), None).measure(
        made, streaming._Layer(layer, norm), keep=False
    )
    expected = F.instance_norm(whole.double().permute(2, 0, 1)[None], eps=norm.eps)[0].permute(1, 2, 0).float()
    torch.testing.assert_close(whole * made.scale + made.shift(), expected, rtol=0, atol=2e-4)


@torch.inference_mode()
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("less", [0, 1])
def test_a_winograd_convolution_is_a_convolution(less: int, grouped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "_grouped", lambda: grouped)  # as another processor has it
    x, kernel, less_ = noise(20, 26, 8), noise(5, 8, 3, 3, seed=1), less * noise(8, seed=2)
    expected = F.conv2d((x - less_).permute(2, 0, 1)[None].double(), kernel.double())[0].permute(1, 2, 0)
    made = winograd.winograd(x, winograd.winograd_kernel(kernel), less_ if less else None)
    torch.testing.assert_close(made.double(), expected, rtol=0, atol=1e-3)


def test_threads_that_measure_at_once_go_by_one_answer() -> None:
    """Two answers would lay a kernel out in one way and read it in another: the picture was noise."""
    answers, together = count(), threading.Barrier(8)

    @winograd.measured_once
    def measured() -> int:
        time.sleep(0.05)
        return next(answers)

    def asked(_: int) -> int:
        together.wait(timeout=30)
        return measured()

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(asked, range(8))) == {0}
    assert measured() == 0 and next(answers) == 1


def test_an_enlarging_kernel_is_an_enlargement_and_a_convolution() -> None:
    x, kernel = noise(1, 6, 5, 7), noise(4, 6, 3, 3, seed=1)
    enlarged = F.interpolate(x, scale_factor=2, mode="nearest")
    expected = F.conv2d(F.pad(enlarged, [1] * 4, mode="reflect"), kernel)
    padded = F.pad(x, [1] * 4, mode="replicate")
    made = F.conv_transpose2d(padded, enlarging_kernel(kernel), stride=2, padding=3)
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)


def test_progress_is_told_and_may_end_it(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "STRIP", {torch.float32: 2**14})
    monkeypatch.setattr(streaming, "LEAST", 4)
    parts: list[float] = []
    fast, photo = StripNetwork(lively_network()), photograph(64, 64)
    fast(photo, parts.append)
    assert parts == sorted(parts) and len(parts) > 30 and 0 < parts[0] < 0.1 and parts[-1] == 1

    class Enough(Exception):
        pass

    def stop(part: float) -> None:
        if part > 0.5:
            raise Enough

    with pytest.raises(Enough):
        fast(photo, stop)
    assert fast(photo).shape == photo.shape


def test_less_is_kept_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = StripNetwork(lively_network())
    for free, kept in ((2_000, 2), (1_000, 1)):
        monkeypatch.setattr(streaming, "free_memory", lambda free=free: free * 10**6)
        assert fast._kept(4000, 4000) == kept
    for free, kept in ((700, 4), (500, 2), (300, 1)):  # of a smaller one, more is kept
        monkeypatch.setattr(streaming, "free_memory", lambda free=free: free * 10**6)
        assert fast._kept(2000, 2000) == kept
    for module in (streaming, memory):
        monkeypatch.setattr(module, "free_memory", lambda: 500 * 10**6)
    with pytest.raises(NSTError, match=r"takes about 0\.8 GB of memory, but only 0\.5 GB are free"):
        fast._kept(4000, 4000)


def test_what_no_memory_suffices_for_is_refused_before_it_starts() -> None:
    photo = torch.zeros(1, 1, 3, dtype=torch.uint8).expand(300_000, 200_000, 3)
    with pytest.raises(NSTError, match=r"300000 px takes about 2289.2 GB of memory, but only \d+.\d GB are free"):
        StripNetwork(lively_network())(photo)


def test_bfloat16_is_for_processors_that_have_it() -> None:
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text(encoding="utf-8").split()) if cpuinfo.exists() else set()
    if not flags & {"avx512_bf16", "amx_bf16"}:
        assert quickest_type() == torch.float32
    numbers = torch.get_rng_state()
    with torch.inference_mode():
        inspect.unwrap(quickest_type)()
    assert torch.equal(torch.get_rng_state(), numbers)  # which are the program's
