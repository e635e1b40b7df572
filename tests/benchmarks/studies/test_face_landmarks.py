import torch
from torch import Tensor

from benchmarks.studies.face_landmarks import (
    MIRRORED,
    LandmarkDetector,
    augmented,
    detect,
    landmark_loss,
    means_of,
)
from semsynth.networks.motion.geometry import pixel_grid
from semsynth.networks.noise import sample_seed


def spots_at(points: Tensor) -> Tensor:
    """Heat maps (B, K, 64, 64) of Gaussians around points (B, K, 2)."""
    far = (pixel_grid(64, 64, points.device) - points[..., None, None]).square().sum(2)
    heat = (-far / 4).exp()
    return heat / heat.sum((2, 3), keepdim=True)


def test_the_mirror_image_of_a_mirror_image_is_the_face() -> None:
    assert [MIRRORED[i] for i in MIRRORED] == list(range(68))


def test_augmented_points_follow_what_they_mark() -> None:
    points = 24 + 16 * torch.rand(8, 68, 2, generator=torch.Generator().manual_seed(0))
    image = spots_at(points[:, :3])
    seeds = sample_seed(0, torch.arange(8))
    moved, targets = augmented(image, points, seeds)
    found = means_of(moved / moved.sum((2, 3), keepdim=True))
    mirrored = (found - targets[:, :3]).norm(dim=2).amax(1) > 0.1
    wanted = targets[:, [MIRRORED[i] for i in range(3)]]  # spots have no side
    found_mirrored = (found - wanted).norm(dim=2)
    assert 0 < mirrored.sum() < 8
    assert found_mirrored[mirrored].max() < 0.1


def test_the_loss_is_lowest_for_heat_at_the_points() -> None:
    points = torch.tensor([[[20.0, 30.0]]])
    sharp = torch.zeros(1, 1, 64, 64)
    sharp[0, 0, 30, 20] = 1
    assert landmark_loss(sharp, points) == 0
    torch.testing.assert_close(landmark_loss(sharp, points + 3), torch.tensor(1.5 * 18**0.5))
    assert landmark_loss(spots_at(points), points) > 0.5


def test_landmarks_are_in_pixels_of_the_image() -> None:
    detector = LandmarkDetector().eval()
    image = torch.rand(2, 3, 64, 64)
    large = image.repeat_interleave(4, 2).repeat_interleave(4, 3)
    expected = (detect(detector, image) + 0.5) * 4 - 0.5
    torch.testing.assert_close(detect(detector, large), expected, rtol=1e-4, atol=1e-2)
