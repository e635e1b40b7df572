import colorsys

import torch

from semsynth.data.toy.drawing import Part, box, ellipse, everywhere, pixel_centres, topmost
from semsynth.data.toy.shading import hsv_to_rgb

GROUND = Part(0, everywhere(), torch.zeros(1, 2), torch.ones(1, 2))


def part(shape_size: float, x: float, y: float, scale: float = 1.0) -> Part:
    return Part(0, box(shape_size, shape_size), torch.tensor([[x, y]]), torch.full((1, 2), scale))


def test_pixel_centres_of_four_pixels() -> None:
    x, y = pixel_centres(4)
    assert x.flatten().tolist() == y.flatten().tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert (x.shape, y.shape) == ((1, 1, 4), (1, 4, 1))


def test_the_last_part_painted_is_seen() -> None:
    parts = [GROUND, part(0.5, -0.5, -0.5), part(0.25, -0.25, -0.25)]
    expected = [[1, 1, 0, 0], [1, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert topmost(parts, *pixel_centres(4)).tolist() == [expected]


def test_scale_enlarges_a_part_about_its_centre() -> None:
    seen = topmost([GROUND, part(0.25, 0.5, 0.5, scale=2.0)], *pixel_centres(8))
    assert seen[0, 4:, 4:].all()
    assert seen.sum() == 16


def test_points_and_grid_see_the_same_parts() -> None:
    x, y = pixel_centres(16)
    parts = [GROUND, part(0.4, 0.1, -0.3)]
    points = topmost(parts, x.expand(1, 16, 16), y.expand(1, 16, 16))
    assert torch.equal(topmost(parts, x, y), points)


def test_area_of_an_ellipse() -> None:
    x, y = pixel_centres(256)
    inside = ellipse(0.8, 0.5).inside(x, y)
    torch.testing.assert_close(
        4 * inside.float().mean(), torch.tensor(torch.pi * 0.8 * 0.5), rtol=0.01, atol=0
    )


def test_hsv_to_rgb_equals_colorsys() -> None:
    hsv = torch.rand(50, 3, generator=torch.Generator().manual_seed(0))
    expected = torch.tensor([colorsys.hsv_to_rgb(*colour) for colour in hsv.tolist()])
    torch.testing.assert_close(hsv_to_rgb(hsv), expected)
    torch.testing.assert_close(hsv_to_rgb(hsv - torch.tensor([2.0, 0, 0])), expected)
