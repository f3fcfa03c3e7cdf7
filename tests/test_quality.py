"""What benchmarks/quality.py measures: known stabilities, and artefacts that were planted."""

from types import ModuleType

import pytest
import torch
from loading import loaded
from torch import Tensor
from torch.nn import functional as F


@pytest.fixture(scope="module")
def quality() -> ModuleType:
    return loaded("benchmarks/quality.py")


@pytest.fixture
def photo() -> Tensor:
    """Clouds with the spectrum of photographs, (1, 3, 96, 128)."""
    generator = torch.Generator().manual_seed(0)
    layers = (
        scale * F.interpolate(torch.randn(1, 3, 3 * scale, 4 * scale, generator=generator), (96, 128), mode="bicubic")
        for scale in (2, 4, 8, 16, 32)
    )
    clouds = sum((layer / scale**2 for scale, layer in zip((2, 4, 8, 16, 32), layers, strict=True)), torch.zeros(1))
    return (0.5 + 0.2 * clouds).clamp(0, 1)


def test_a_photograph_is_itself(quality: ModuleType, photo: Tensor) -> None:
    look = quality.look(lambda x: x, [photo])
    assert look.identity == pytest.approx(1) and look.shift == 0 and look.noise == pytest.approx(1, abs=1e-5)
    assert look.border == pytest.approx(1) and look.spots == pytest.approx(1) and look.grid < 1


def test_identity_is_of_the_luminance_alone(quality: ModuleType, photo: Tensor) -> None:
    grey = quality._luminance(photo).expand(-1, 3, -1, -1)
    assert quality.identity(photo, grey) > 0.999
    assert quality.identity(photo, photo.flip(3)) < 0.7


def test_what_doubles_every_difference_doubles_noise_and_what_follows_a_shift_has_none(
    quality: ModuleType, photo: Tensor
) -> None:
    def louder(x: Tensor) -> Tensor:
        return 2 * x

    def pinned(x: Tensor) -> Tensor:
        return torch.ones_like(x) * torch.linspace(0, 1, x.shape[3])

    assert quality.noise_change(louder, photo, louder(photo)) == pytest.approx(2, rel=1e-4)
    assert quality.shift_change(louder, photo) == pytest.approx(0, abs=1e-6)
    assert quality.noise_change(pinned, photo, pinned(photo)) == 0
    # A ramp that stays where it is while the photograph moves is a pixel's step away.
    own = (photo[..., 1:] - photo[..., :-1]).abs().mean()
    assert quality.shift_change(pinned, photo) == pytest.approx(float(1 / 126 / own), rel=1e-3)


def test_planted_artefacts_are_found(quality: ModuleType, photo: Tensor) -> None:
    framed = photo.clone()
    framed[..., :4, :] = (framed[..., :4, :] + 0.2 * (torch.arange(128) % 2)).clamp(0, 1)
    assert quality.border(framed) / quality.border(photo) > quality.ARTEFACTS["border"]

    rows, columns = torch.meshgrid(torch.arange(96.0), torch.arange(128.0), indexing="ij")
    blob = torch.exp(-((rows - 40) ** 2 + (columns - 70) ** 2) / 2 / 4**2)
    assert quality.spots((photo + blob).clamp(0, 1)) / quality.spots(photo) > quality.ARTEFACTS["spots"]

    pattern = torch.zeros(4, 4)
    pattern[0, 0] = 1
    pattern = ((pattern - pattern.mean()) / pattern.std(correction=0)).repeat(24, 32)
    for levels in (4, 8):
        assert quality.grid(photo + levels / 255 * pattern) == pytest.approx(levels, rel=0.15)
    stripes = torch.sin(2 * torch.pi * columns / 5.3)
    assert quality.grid(photo + 8 / 255 * stripes) < 1


def test_steps_are_counted_until_the_loss_is_as_low(quality: ModuleType) -> None:
    class Distance(torch.nn.Module):
        def forward(self, picture: Tensor, target: dict[str, Tensor]) -> object:
            return quality.LossTerms((picture - target["x"]).square().sum(), *[torch.zeros(())] * 3, {})

    start, target = torch.zeros(1, 1, 4, 4), {"x": torch.ones(1, 1, 4, 4)}
    assert quality.steps_to(16.0, Distance(), target, start, 5) == 0
    assert 1 <= quality.steps_to(1e-6, Distance(), target, start, 5) <= 2
    assert quality.steps_to(-1.0, Distance(), target, start, 5) == 5


def test_a_step_that_is_too_long_is_shortened(quality: ModuleType) -> None:
    class Cone(torch.nn.Module):
        """All but straight far from its tip: what curvature is seen there promises a tip much farther away."""

        def forward(self, picture: Tensor, target: dict[str, Tensor]) -> object:
            return quality.LossTerms(
                (1 + (30 * (picture - target["x"])).square()).sqrt().sum(), *[torch.zeros(())] * 3, {}
            )

    start, target = torch.zeros(1, 1, 4, 4), {"x": torch.linspace(0.5, 1, 16).reshape(1, 1, 4, 4)}
    assert quality.steps_to(16.1, Cone(), target, start, 60) < 60
