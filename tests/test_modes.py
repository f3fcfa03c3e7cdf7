"""Making networks beside a program that draws random numbers in other threads, and has a default type of its own."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from nst_core import Registry
from nst_core.modes import OwnNumbers
from nst_core.recipe import Recipe
from nst_core.training import new_network


def test_a_seed_gives_what_it_gives_pytorch() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        expected = nn.Conv2d(3, 4, 3), nn.Linear(4, 2), nn.init.orthogonal_(torch.empty(3, 3)), torch.randn(2)
    with OwnNumbers(5):
        made = nn.Conv2d(3, 4, 3), nn.Linear(4, 2), nn.init.orthogonal_(torch.empty(3, 3)), torch.randn(2)
    for module, other in zip(made[:2], expected[:2], strict=True):
        assert all(torch.equal(one, two) for one, two in zip(module.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(one, two) for one, two in zip(made[2:], expected[2:], strict=True))


def test_what_its_maker_says_counts() -> None:
    with OwnNumbers():
        numbers = torch.rand(3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert torch.equal(numbers, torch.rand(3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)))


def test_networks_made_in_threads_are_their_seeds() -> None:
    expected = new_network(Recipe(seed=3)).state_dict()
    with ThreadPoolExecutor(4) as threads:
        for made in threads.map(lambda _: new_network(Recipe(seed=3)).state_dict(), range(12)):
            assert all(torch.equal(made[name], tensor) for name, tensor in expected.items())


def test_who_draws_while_styles_are_opened_draws_as_alone() -> None:
    torch.manual_seed(4)
    alone = [float(torch.rand(1)) for _ in range(2000)]
    torch.manual_seed(4)
    with ThreadPoolExecutor(2) as threads:
        opening = [threads.submit(Registry.load().open, "udnie-lite") for _ in range(6)]
        assert [float(torch.rand(1)) for _ in range(2000)] == alone
        assert all(one.result() for one in opening)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_programs_default_type_is_never_another(dtype: torch.dtype) -> None:
    torch.set_default_dtype(dtype)
    try:
        with ThreadPoolExecutor(2) as threads:
            made = [threads.submit(new_network, Recipe(architecture="johnson-lite")) for _ in range(6)]
            while not all(one.done() for one in made):
                assert torch.get_default_dtype() == dtype
        assert all(tensor.dtype == torch.float32 for tensor in made[0].result().state_dict().values())
    finally:
        torch.set_default_dtype(torch.float32)
