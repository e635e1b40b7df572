import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.motion.feature_tracking import Follower, patches_at, track


def pattern(shift: tuple[float, float] = (0.0, 0.0), scale: float = 1.0) -> Tensor:
    """A smooth random picture (1, 8, 64, 64), enlarged around its middle and moved, (x, y)."""
    noise = torch.randn(1, 8, 64, 64, generator=torch.Generator().manual_seed(0))
    affine = torch.eye(2, 3)[None] / scale
    affine[0, :, 2] = -2 * torch.tensor(shift) / 64 / scale
    grid = F.affine_grid(affine, [1, 8, 64, 64], align_corners=False)
    return F.grid_sample(F.avg_pool2d(noise, 5, 1, 2), grid, align_corners=False)


def naive(patch: Tensor, features: Tensor, around: Tensor, radius: float) -> tuple[float, float]:
    """The whole pixel with the most similar patch, by a loop over places."""
    best, place = -2.0, (0.0, 0.0)
    P = patch.shape[-1] // 2
    x0, y0 = (int(value) for value in around)
    reach = int(radius)
    for y in range(y0 - reach, y0 + reach + 1):
        for x in range(x0 - reach, x0 + reach + 1):
            there = features[0, :, y - P : y + P + 1, x - P : x + P + 1]
            cosine = F.cosine_similarity(there, patch, dim=0).mean().item()
            if cosine > best:
                best, place = cosine, (float(x), float(y))
    return place


def test_tracking_equals_a_loop_over_pixels() -> None:
    generator = torch.Generator().manual_seed(1)
    before, after = torch.randn(2, 1, 6, 32, 32, generator=generator).unbind(0)
    points = torch.tensor([[[10.0, 12.0], [15.0, 9.0], [20.0, 20.0]]])
    patches = patches_at(before, points, 2)
    found = track(patches, after, points, torch.full((1, 3), 4.0), steps=1)
    expected = [naive(patches[0, k], after, points[0, k], 4) for k in range(3)]
    assert [tuple(place) for place in found.points[0].tolist()] == expected


def test_patches_are_units_of_the_pixels_around_points() -> None:
    features = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    patch = patches_at(features, torch.tensor([[[5.0, 7.0]]]), 1)[0, 0]
    expected = F.normalize(features[0, :, 6:9, 4:7], dim=0)
    torch.testing.assert_close(patch, expected)


def test_points_are_found_between_pixels() -> None:
    points = torch.tensor([[[30.0, 30.0], [22.0, 37.0], [40.0, 25.0]]])
    still, wanted = torch.zeros(1, 3, 3), torch.tensor([2.75, -1.5, 0.0]).expand(1, 3, 3)
    follower, after = Follower(pattern(), points, 64, False), pattern((2.75, -1.5))
    found, similarity = follower.find(after, still, wanted)
    torch.testing.assert_close(found, wanted, atol=0.26, rtol=0)
    assert (similarity > 0.95).all()


def test_each_image_and_point_is_tracked_by_itself() -> None:
    shifts = ((2.0, 1.0), (-3.0, 0.0))
    before = pattern().expand(2, -1, -1, -1)
    after = torch.cat([pattern(shift) for shift in shifts])
    points = torch.tensor([[[30.0, 30.0], [22.0, 37.0]], [[40.0, 25.0], [28.0, 28.0]]])
    wanted = torch.tensor([[[4.0, 0.0, 0.0], [0.0, 3.0, 0.0]], [[-5.0, 1.0, 0.0], [0.0] * 3]])
    together, _ = Follower(before, points, 64, False).find(after, torch.zeros(2, 2, 3), wanted)
    for i in range(2):
        for k in range(2):
            one = (slice(i, i + 1), slice(k, k + 1))
            follower = Follower(before[:1], points[one], 64, False)
            alone, _ = follower.find(after[i : i + 1], torch.zeros(1, 1, 3), wanted[one])
            torch.testing.assert_close(together[one], alone)


def test_nothing_is_found_outside_the_square() -> None:
    points = torch.tensor([[[30.0, 30.0]]])
    found = track(patches_at(pattern(), points, 2), pattern((9.0, 0.0)), points, torch.ones(1, 1))
    assert (found.points - points).abs().max() <= 1
    assert found.similarity < 0.9


def test_canvas_and_map_may_have_different_sizes() -> None:
    points = torch.tensor([[[120.0, 124.0]]])
    wanted = torch.tensor([[[12.0, -8.0, 0.0]]])
    follower, still = Follower(pattern(), points, 256, False), torch.zeros(1, 1, 3)
    found, _ = follower.find(pattern((3.0, -2.0)), still, wanted)
    torch.testing.assert_close(found, wanted, atol=1.01, rtol=0)


@pytest.mark.parametrize("scale", [0.85, 1.2])
def test_the_ring_of_a_zoomed_point_tells_its_scale(scale: float) -> None:
    middle = torch.full((1, 1, 2), 31.5)
    wanted = torch.tensor([[[0.0, 0.0, -math.log(scale)]]])
    follower, still = Follower(pattern(), middle, 64, True), torch.zeros(1, 1, 3)
    found, _ = follower.find(pattern(scale=scale), still, wanted)
    torch.testing.assert_close(found, wanted, atol=0.3, rtol=0)
    assert found[0, 0, 2].item() == pytest.approx(-math.log(scale), abs=0.03)
