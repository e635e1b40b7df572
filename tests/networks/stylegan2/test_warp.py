import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.stylegan2.ada import rotation, scaling, translation
from semsynth.networks.stylegan2.warp import SYM6, mirror, move_pixels, warp

SIZE = 64


def identity(batch_size: int = 2) -> Tensor:
    return torch.eye(3, dtype=torch.float64).expand(batch_size, 3, 3)


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def waves(x: Tensor, y: Tensor, size: int) -> Tensor:
    """Cosines whose crests lie on the edges, so that mirrors continue them: (B, 1, M, N)."""
    unit = math.pi / (size - 1)
    return ((2 * unit * x).cos() * (unit * y).cos() + 0.5 * (3 * unit * x).cos())[:, None]


def pixel_grid(size: int) -> tuple[Tensor, Tensor]:
    pixels = torch.arange(size, dtype=torch.float64)
    return pixels.expand(1, size, size), pixels[:, None].expand(1, size, size)


def test_filter_is_the_orthonormal_one_with_six_vanishing_moments() -> None:
    taps, n = numbers(*SYM6), torch.arange(12)
    shifts = [float((taps[: 12 - 2 * j] * taps[2 * j :]).sum()) for j in range(6)]
    assert shifts == pytest.approx([1, 0, 0, 0, 0, 0], abs=1e-11)
    moments = [float((taps * (-1.0) ** n * n**k).sum()) for k in range(6)]
    assert moments == pytest.approx([0] * 6, abs=1e-8)
    assert float(taps.sum()) == pytest.approx(math.sqrt(2))


def test_mirror_equals_reflect_padding_without_end() -> None:
    line = torch.arange(5.0)
    padded = F.pad(F.pad(line.view(1, 1, 5), (4, 4), "reflect"), (8, 8), "reflect")[0, 0]
    assert torch.equal(mirror(torch.arange(-12.0, 17.0), 5), padded)


@pytest.mark.parametrize("size", [2, 5, 8, 33])
def test_warp_that_does_nothing_gives_the_image_back(size: int) -> None:
    image = torch.randn(2, 3, size, size, dtype=torch.float64)
    torch.testing.assert_close(warp(image, identity()), image)


@pytest.mark.parametrize(
    "matrix",
    [
        rotation(numbers(0.4, -2.0)),
        scaling(numbers(1.5, 0.7), numbers(0.8, 1.1)),
        translation(numbers(3.3, -60.25), numbers(-7.1, 100.0)),
        rotation(numbers(1.0, 3.0)) @ scaling(numbers(2.0, 0.6), numbers(1.0, 0.7)),
    ],
)
def test_warp_equals_the_formula_of_a_mirrored_wave_at_the_mapped_points(matrix: Tensor) -> None:
    x, y = pixel_grid(SIZE)
    centre = (SIZE - 1) / 2
    points = torch.stack([x - centre, y - centre, torch.ones_like(x)], -1)  # (1, S, S, 3)
    mapped = torch.einsum("bij,bmnj->bmni", matrix, points.expand(2, -1, -1, -1)) + centre
    expected = waves(mapped[..., 0], mapped[..., 1], SIZE)
    image = waves(x, y, SIZE).expand(2, -1, -1, -1)
    # The filter delays by 5.1 instead of 5 taps: a flip is off by a tenth of a pixel.
    torch.testing.assert_close(warp(image, matrix), expected, atol=0.03, rtol=0)
    misplaced = matrix @ translation(numbers(1), numbers(1))
    assert (warp(image, misplaced) - expected).abs().amax((1, 2, 3)).min() > 0.06


def test_warp_by_a_quarter_turn_is_close_to_the_copied_pixels() -> None:
    image = waves(*pixel_grid(SIZE), SIZE)
    turn = rotation(numbers(math.pi / 2))
    torch.testing.assert_close(warp(image, turn), move_pixels(image, turn), atol=0.01, rtol=0)


def test_shrinking_does_not_alias() -> None:
    stripes = (-1.0) ** torch.arange(SIZE).expand(1, 1, SIZE, SIZE)
    small = warp(stripes, scaling(numbers(2.0), numbers(2.0)))  # two stripes fall on each pixel
    plain = F.interpolate(stripes, scale_factor=0.5, mode="nearest")
    assert plain.abs().mean() == 1
    assert small[..., 26:-26, 26:-26].abs().max() < 0.01  # away from the mirrors


def test_moved_pixels_equal_reflect_padding_and_cropping() -> None:
    image = torch.randn(1, 3, 9, 9)
    moved = move_pixels(image, translation(numbers(-3), numbers(2)))  # 3 right, 2 up
    padded = F.pad(image, (3, 3, 2, 2), mode="reflect")
    assert torch.equal(moved, padded[..., 4:13, 0:9])


def test_warp_passes_gradcheck_and_gradgradcheck() -> None:
    image = torch.randn(1, 1, 5, 5, dtype=torch.float64, requires_grad=True)
    matrix = rotation(numbers(0.7)) @ translation(numbers(1.3), numbers(-0.4))
    assert torch.autograd.gradcheck(lambda x: warp(x, matrix), image)
    assert torch.autograd.gradgradcheck(lambda x: warp(x, matrix) ** 3, image)
