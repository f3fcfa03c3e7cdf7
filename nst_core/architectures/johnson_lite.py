"""``johnson-lite``: johnson's shape at an eighth of its multiply-adds, for phones, webcams and films."""

from functools import partial

from nst_core.architectures import Architecture, register
from nst_core.architectures.johnson import JohnsonNetwork
from nst_core.streaming import StripNetwork

# Reflection pads by 2 at full size and by 1 at a quarter of it.
register(
    Architecture(
        id="johnson-lite",
        version=1,
        network=partial(JohnsonNetwork, (12, 24, 48), kernel_size=5, blocks=4),
        min_size=5,
        fast=StripNetwork,
    )
)
