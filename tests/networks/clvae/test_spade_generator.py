from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from semsynth.networks.clvae.spade_generator import SPADEGenerator, Upsampling, start_grid


def tiny_generator(upsampling: Upsampling = "normal") -> SPADEGenerator:
    layout_channels = [3] * (8 if upsampling == "most" else 7)
    sizes: Any = {"channels": 2, "layout_channels": layout_channels, "spade_channels": 4}
    return SPADEGenerator(4, (128, 128), upsampling=upsampling, **sizes)


def layouts(count: int = 7, batch: int = 2) -> list[Tensor]:
    return [torch.rand(batch, 3, 8 * 2 ** (i % 3), 16) for i in range(count)]


@pytest.mark.parametrize(
    ("image_size", "upsampling", "grid"),
    [
        ((256, 256), "normal", (8, 8)),
        ((256, 256), "more", (4, 4)),
        ((256, 512), "more", (4, 8)),
        ((512, 512), "most", (4, 4)),
    ],
)
def test_start_grid_of_the_paper(
    image_size: tuple[int, int], upsampling: Upsampling, grid: tuple[int, int]
) -> None:
    assert start_grid(image_size, upsampling) == grid


@pytest.mark.parametrize("upsampling", ["normal", "more", "most"])
def test_generator_gives_images_of_its_size_in_range(upsampling: Upsampling) -> None:
    generator = tiny_generator(upsampling)
    image = generator(torch.randn(2, 4), layouts(len(generator.blocks)))
    assert image.shape == (2, 3, 128, 128)
    assert image.abs().max() <= 1


def test_generator_names_the_divisor_of_a_wrong_image_size() -> None:
    with pytest.raises(ValueError, match=r"divisible by 64 .* got \(256, 480\)"):
        start_grid((256, 480), "more")


def test_generator_refuses_a_wrong_number_of_layouts() -> None:
    with pytest.raises(ValueError, match=r"7 entries .* got 6"):
        SPADEGenerator(4, (64, 64), 2, layout_channels=[3] * 6)


def test_checkpointing_changes_neither_gradients_nor_statistics() -> None:
    torch.manual_seed(0)
    generator = tiny_generator()
    again = deepcopy(generator)
    again.checkpointing = True
    z, maps = torch.randn(2, 4), layouts()
    for network in (generator, again):
        network(z, maps).square().sum().backward()
    for p, q in zip(generator.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)
    torch.testing.assert_close(list(generator.buffers()), list(again.buffers()))
