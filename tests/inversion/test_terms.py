import pytest
import torch
import torch.nn.functional as F

from semsynth.inversion.terms import (
    comparable,
    latent_spread,
    lr_factor,
    noise_correlation,
    noise_factor,
    normalise,
    pixel_error,
    resize,
)
from tests.helpers.small_prior import small_generator


def test_rate_rises_over_the_first_twentieth_and_falls_over_the_last_quarter() -> None:
    factors = [lr_factor(t) for t in (0.0, 0.025, 0.05, 0.5, 0.75, 0.875, 1.0)]
    assert factors == pytest.approx([0, 0.5, 1, 1, 1, 0.5, 0])


def test_noise_is_gone_after_three_quarters() -> None:
    assert [noise_factor(t) for t in (0.0, 0.375, 0.75, 1.0)] == pytest.approx([1, 0.25, 0, 0])


def test_pixel_error_is_the_mean_over_an_image_pyramid() -> None:
    a, b = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    levels = [((F.avg_pool2d(a - b, s)) ** 2).mean((1, 2, 3)) for s in (1, 2, 4)]
    torch.testing.assert_close(pixel_error(a, b, 3), sum(levels) / 3)


def test_smooth_noise_costs_more_than_white_noise() -> None:
    torch.manual_seed(0)
    white = torch.randn(1, 1, 32, 32)
    smooth = F.avg_pool2d(F.pad(white, (1, 1, 1, 1), mode="circular"), 3, 1)
    normalise([white, smooth])
    assert noise_correlation([smooth]) > 50 * noise_correlation([white])


def test_correlation_of_a_checkerboard_is_one_in_each_direction() -> None:
    board = torch.ones(1, 1, 8, 8)
    board[..., ::2, 1::2] = board[..., 1::2, ::2] = -1
    assert noise_correlation([board]) == pytest.approx(2.0)


def test_images_are_compared_at_no_more_than_256() -> None:
    large = torch.rand(1, 3, 512, 512)
    torch.testing.assert_close(comparable(large), F.avg_pool2d(large, 2))
    assert comparable(large[..., :64, :64]).shape[-1] == 64


def test_an_image_of_the_right_size_is_not_resampled() -> None:
    image = torch.rand(1, 3, 16, 16)
    assert resize(image, 16) is image
    assert resize(torch.rand(1, 3, 20, 10), 16).shape == (1, 3, 16, 16)


def test_spread_is_the_distance_of_latents_from_their_mean() -> None:
    generator = small_generator(4096)
    w = generator.mapping(torch.randn(4096, 8))
    expected = (w - generator.mean_latent).norm(dim=1).square().mean().sqrt()
    assert latent_spread(generator).item() == pytest.approx(expected.item(), rel=0.05)
