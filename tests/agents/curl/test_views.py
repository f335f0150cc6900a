"""Crops do what cropping, padding and cropping again one by one would."""

import itertools

import torch
from torch.nn import functional

from xtra.agents.observation import random_view


def by_hand(image: torch.Tensor, margin: int, padding: int) -> dict[tuple[int, ...], torch.Tensor]:
    """Every view of an image `[C, S, S]` that there can be, by the corners of its two crops."""
    size = image.shape[-1]
    views = {}
    for row, column in itertools.product(range(margin + 1), repeat=2):
        cropped = image[:, row : row + size - margin, column : column + size - margin]
        padded = functional.pad(cropped[None], (padding,) * 4, mode="replicate")[0]
        for below, right in itertools.product(range(2 * padding - margin + 1), repeat=2):
            views[row, column, below, right] = padded[:, below : below + size, right : right + size]
    return views


def test_a_view_is_one_of_the_crops_of_padded_crops_and_each_of_them_occurs() -> None:
    torch.manual_seed(0)
    image = torch.rand(3, 6, 6)
    expected = {view.numpy().tobytes(): corners for corners, view in by_hand(image, margin=1, padding=2).items()}
    assert len(expected) == 2 * 2 * 4 * 4
    views = random_view(image.expand(2_000, -1, -1, -1), 1, 2, torch.Generator().manual_seed(0))
    seen = {view.contiguous().numpy().tobytes() for view in views}
    assert seen == set(expected)


def test_without_a_margin_it_is_a_shift_with_replicated_borders() -> None:
    image = torch.arange(25.0).view(1, 1, 5, 5)
    views = random_view(image.expand(300, -1, -1, -1), 0, 1, torch.Generator().manual_seed(0))
    assert {int(view[0, 2, 2]) for view in views} == {6, 7, 8, 11, 12, 13, 16, 17, 18}
    up_left = next(view for view in views if view[0, 2, 2] == 6)
    assert up_left[0, :2].tolist() == [[0, 0, 1, 2, 3], [0, 0, 1, 2, 3]]


def test_views_depend_on_the_generator_alone() -> None:
    images = torch.rand(4, 2, 10, 10)
    first, again, other = (random_view(images, 2, 2, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
