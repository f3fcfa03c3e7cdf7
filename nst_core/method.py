"""Every setting of an optimisation, and the presets by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Literal, TypedDict, get_origin, get_type_hints

from nst_core.errors import NSTError, check_choice, check_setting, check_weights, one_line
from nst_core.precision import Precision

Init = Literal["noise", "content", "style"]
OptimizerName = Literal["lbfgs", "adam", "sgd"]
Color = Literal["style", "photo", "matched"]
SIZES = (8, 4096)
"""The least and the most that a picture's longer side may have, in pixels."""
MAX_STEPS = 100_000


class MethodError(NSTError):
    """A setting of an optimisation that makes no sense."""


@dataclass(frozen=True)
class Method:
    """Every setting of an optimisation; the defaults are the preset ``quick``.

    No weight is negative, and not all are 0.

    Raises:
        MethodError: a value is out of its range.
    """

    content_layers: Mapping[str, float] = field(default_factory=lambda: {"conv2_2": 1.0})
    """Weight by layer of the feature network, at least 0."""
    style_layers: Mapping[str, float] = field(
        default_factory=lambda: dict.fromkeys(("conv1_2", "conv2_2", "conv3_3", "conv4_1", "conv5_1"), 1.0)
    )
    """Weight by layer of the feature network, at least 0."""
    content_weight: float = 0.03
    """α: what every content layer's weight is multiplied by."""
    style_weight: float = 1.0
    """β: what every style layer's weight is multiplied by."""
    total_variation: float = 0.0
    """The weight of the total variation: larger gives smoother pictures."""
    convention: str = "relative"
    """Of the losses: a name in ``nst_core.losses.CONVENTIONS``."""
    pooling: Literal["max", "average"] = "max"
    """Between the blocks of the feature network."""
    init: Init = "content"
    """What the picture starts from, unless a picture to start from is given."""
    optimizer: OptimizerName = "lbfgs"
    learning_rate: float = 0.02
    """How far pixels move, as a root mean square in the picture's range of 0–1: in the first step of L-BFGS and SGD, in
    about every step of Adam; 1e-6 to 10."""
    steps: int = 120
    """The most steps, over all scales together; 1 to 100,000."""
    seconds: float | None = None
    """The longest that it may take, at least 0.1; None for as long as it takes."""
    saturation: float = 1e-3
    """It stops, or goes to the next scale, when the last ten steps lowered the loss by less than this fraction."""
    size: int = 512
    """Longer side of the result, in pixels, 8 to 4096."""
    style_size: float = 1.0
    """Longer side of the painting as a multiple of ``size``, 0.1 to 8: larger gives larger strokes."""
    scales: int = 3
    """Coarse to fine, 1 to 8: each scale has half the side of the next; 1 works at the full size alone."""
    color: Color = "style"
    """Whose colours the picture has: the painting's; the photograph's, of which only the luminance is changed; or, with
    "matched", colours like the photograph's, given to the painting first (Gatys et al. 2016)."""
    precision: Precision = "auto"
    """``auto`` lets convolutions run in bfloat16 where the machine is built for it; ``exact`` is float32."""
    seed: int = 0
    """Of the noise, 0 to 2⁶³ − 1."""

    def __post_init__(self) -> None:
        check = partial(check_setting, MethodError, self)
        for name, hint in get_type_hints(type(self)).items():
            if get_origin(hint) is Literal:
                check_choice(MethodError, name, getattr(self, name), hint)
        if not isinstance(self.convention, str):
            raise MethodError(f"The convention should be a name such as 'relative', not {one_line(self.convention)}.")
        for name in ("content_weight", "style_weight", "total_variation", "saturation"):
            check(name, 0)
        check_weights(MethodError, self)
        check("learning_rate", 1e-6, 10)
        check("steps", 1, MAX_STEPS, whole=True)
        check("size", *SIZES, whole=True)
        check("style_size", 0.1, 8)
        check("scales", 1, 8, whole=True)
        check("seed", 0, 2**63 - 1, whole=True)
        if self.seconds is not None:
            check("seconds", 0.1, 1e7)


class MethodChanges(TypedDict, total=False):
    """Settings of a ``Method`` by name, for type checkers."""

    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    content_weight: float
    style_weight: float
    total_variation: float
    convention: str
    pooling: Literal["max", "average"]
    init: Init
    optimizer: OptimizerName
    learning_rate: float
    steps: int
    seconds: float | None
    saturation: float
    size: int
    style_size: float
    scales: int
    color: Color
    precision: Precision
    seed: int


def _layers(*names: str) -> dict[str, float]:
    return dict.fromkeys(names, 1.0)


_FIRST_RELUS = _layers(*(f"relu{block}_1" for block in range(1, 6)))

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "quick": Method(),
        # The same from noise: the photograph has to come back from its content loss alone.
        "noise": Method(content_weight=0.15, init="noise", steps=200),
        # Gatys, Ecker and Bethge 2015: the paper's layers, noise, average pooling. Its conv4_2 is what Caffe gives by
        # that name: the ReLU's output. Its weights depend on the picture's size and on how the network is normalised;
        # these give pictures like the paper's with activations whose mean is 1.
        "paper": Method(
            content_layers=_layers("relu4_2"),
            style_layers=_FIRST_RELUS,
            content_weight=1.0,
            style_weight=1e5,
            convention="tutorial",
            pooling="average",
            init="noise",
            steps=500,
            scales=1,
        ),
        # jcjohnson/neural-style's weights are 5 and 100, for the Caffe network, whose activations are far larger; style
        # counts their square, hence the greater weight where their mean is 1, as in compact. Its smoothness, 1e-3,
        # weighs a sum over pixels of 0–255; of a mean in 0–1, 1 takes the grain of the noise away, and leaves the other
        # losses.
        "neural-style": Method(
            content_layers=_layers("relu4_2"),
            style_layers=_FIRST_RELUS,
            content_weight=5.0,
            style_weight=1e5,
            total_variation=1.0,
            convention="tutorial",
            init="noise",
            steps=1000,
            scales=1,
        ),
        "tutorial": Method(
            content_layers=_layers("conv2_2"),
            style_layers=_layers("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"),
            content_weight=1.0,
            style_weight=1e6,
            convention="tutorial",
            steps=300,
            scales=1,
        ),
    }
)
