import math

import pytest
import torch
from torch import Tensor

from semsynth.data.toy import PortraitWorld
from semsynth.networks.motion.geometry import (
    check_pair,
    consistent,
    log_expansion_from_flow,
    motion_from_flow,
    pixel_grid,
    sample,
    warp,
)

CPU = torch.device("cpu")


def affine_flow(matrix: list[list[float]], size: int = 40, shift: float = 0.0) -> Tensor:
    """Flow (1, 2, H, W) that maps each point p around the centre to ``matrix p + shift``."""
    grid = pixel_grid(size, size, CPU) - (size - 1) / 2
    moved = torch.einsum("ij,jhw->ihw", torch.tensor(matrix), grid)
    return (moved - grid + shift)[None]


def rotation(degrees: float) -> list[list[float]]:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [[c, -s], [s, c]]


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ([[1.05, 0.0], [0.0, 1.05]], -0.048790),  # 5 % larger
        ([[0.8, 0.0], [0.0, 0.8]], 0.223144),  # smaller: -log 0.8
        ([[1.0, 0.0], [0.0, 1.0]], 0.0),
        ([[1.0, 0.3], [0.0, 1.0]], 0.0),  # a shear keeps areas
        ([[1.21, 0.0], [0.0, 1.0]], -0.095310),  # wider only: half of -log 1.21
        (rotation(20), 0.0),
        ([[-1.0, 0.0], [0.0, 1.0]], 0.0),  # a mirror keeps areas too
    ],
)
def test_expansion_of_an_affine_flow_is_minus_half_the_log_of_its_area_up_to_the_border(
    matrix: list[list[float]], expected: float
) -> None:
    found = log_expansion_from_flow(affine_flow(matrix, shift=3.0), radius=4)
    torch.testing.assert_close(found, torch.full_like(found, expected), rtol=0, atol=2e-5)


def test_expansion_equals_a_least_squares_fit_in_each_window() -> None:
    torch.manual_seed(0)
    flow, r = torch.randn(2, 2, 9, 11) * 0.1, 2
    found = log_expansion_from_flow(flow, r)
    offsets = pixel_grid(5, 5, CPU).flatten(1).T - 2
    design = torch.cat([offsets, torch.ones(25, 1)], 1)
    for b, y, x in [(0, 2, 2), (1, 4, 7), (0, 6, 8)]:
        window = flow[b, :, y - r : y + r + 1, x - r : x + r + 1].flatten(1).T
        slopes = torch.linalg.lstsq(design, window).solution[:2].T
        expected = -0.5 * torch.linalg.det(torch.eye(2) + slopes).abs().log()
        torch.testing.assert_close(found[b, 0, y, x], expected, rtol=1e-4, atol=1e-5)


def test_expansion_has_the_sign_and_size_of_the_analytic_one_of_the_toy_world() -> None:
    world, index = PortraitWorld(), torch.arange(4)
    source = world.sample_layout(0, index) | {"zoom": torch.full((4,), 1.0)}
    true = world.flow(source, source | {"zoom": torch.full((4,), 1.1)}, 64)
    found = log_expansion_from_flow(true.flow, 2)
    assert found[true.log_expansion < -0.05].median().item() == pytest.approx(-math.log(1.1), 1e-3)


def test_a_window_wider_than_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="window 17 no wider than the image of 16 x 40"):
        log_expansion_from_flow(torch.zeros(1, 2, 16, 40), 8)


def test_warp_by_a_whole_number_of_pixels_is_a_shift() -> None:
    image = torch.rand(1, 3, 6, 8)
    flow = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 6, 8)
    torch.testing.assert_close(warp(image, flow)[..., 1:, :-2], image[..., :-1, 2:])


def test_sample_is_bilinear_between_pixels() -> None:
    image = torch.tensor([[0.0, 1.0], [2.0, 5.0]]).view(1, 1, 2, 2)
    points = torch.tensor([[0.5, 0.0], [0.25, 0.5]]).view(1, 1, 2, 2)
    assert sample(image, points, "border").flatten().tolist() == pytest.approx([0.5, 1.5])


def test_flow_is_believed_where_the_way_back_ends_within_the_tolerance() -> None:
    forward, backward = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    backward[0, 0] = torch.tensor([0.0, 0.9, 1.1, 3.0])  # pixels off, column by column
    valid = consistent(forward, backward)
    assert valid.shape == (1, 1, 4, 4)
    assert valid.dtype == torch.bool
    assert valid[0, 0, 0].tolist() == [True, True, False, False]


def test_long_flow_may_miss_by_five_percent() -> None:
    forward = torch.zeros(1, 2, 2, 64)
    forward[:, 0] = 40.0
    near, far = -forward.clone(), -forward.clone()
    near[:, 0] += 1.9
    far[:, 0] += 2.1
    assert consistent(forward, near)[..., :20].all()
    assert not consistent(forward, far).any()


def test_what_leaves_the_image_is_invalid() -> None:
    forward = torch.zeros(1, 2, 4, 8)
    forward[:, 0] = 3.0
    assert consistent(forward, -forward)[0, 0, 0].tolist() == [True] * 5 + [False] * 3


def test_motion_from_flow_uses_a_window_of_a_quarter_of_the_image() -> None:
    torch.manual_seed(0)
    flow = torch.randn(1, 2, 256, 256) * 0.1
    motion = motion_from_flow(flow, -flow)
    torch.testing.assert_close(motion.log_expansion, log_expansion_from_flow(flow, 32))


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ((1, 3, 32, 32), (2, 3, 32, 32), r"got \(1, 3, 32, 32\) and \(2, 3, 32, 32\)"),
        ((1, 1, 32, 32), (1, 1, 32, 32), r"of the same shape \(B, 3, H, W\)"),
        ((1, 3, 32, 36), (1, 3, 32, 36), "multiples of 8 and at least 16, got 32 x 36; resize"),
        ((1, 3, 8, 8), (1, 3, 8, 8), "at least 16, got 8 x 8"),
    ],
)
def test_what_is_no_pair_is_refused(a: tuple[int, ...], b: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_pair(torch.zeros(a), torch.zeros(b), 8, 16, "The test")
