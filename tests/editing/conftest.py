import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.editing import Canvas
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from tests.helpers.small_prior import make_prior, prior, small_generator  # noqa: F401  fixtures


class Shift:
    """An editor that adds the mean motion of marks to two numbers of the first latent."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain
        self.calls: list[tuple[Tensor, Tensor, Tensor]] = []

    def edit(
        self, w_plus: Tensor, features: Tensor, points: Tensor, motions: Tensor, points_mask: Tensor
    ) -> Tensor:
        self.calls.append((points, motions, points_mask))
        moved = w_plus.clone()
        there = points_mask[..., None].float()
        mean = (motions[..., :2] * there).sum(dim=1) / there.sum(dim=1)
        moved[:, 0, :2] += self.gain * mean
        return moved


class RollingCanvas(Canvas):
    """A canvas whose pictures are a random one, moved by two numbers of the first latent."""

    def landmarks(self, w_plus: Tensor) -> Tensor:
        noise = torch.randn(1, 8, 64, 64, generator=torch.Generator().manual_seed(0))
        smooth = F.avg_pool2d(F.avg_pool2d(noise, 5, 1, 2), 5, 1, 2)
        picture = smooth.expand(len(w_plus), -1, -1, -1)
        shift = w_plus[:, 0, :2]
        affine = torch.eye(2, 3).repeat(len(w_plus), 1, 1)
        affine[:, :, 2] = -2 * shift / 64
        grid = F.affine_grid(affine, [len(w_plus), 8, 64, 64], align_corners=False)
        return F.grid_sample(picture, grid, padding_mode="border", align_corners=False)

    features = landmarks

    def draw_with_landmarks(self, w_plus: Tensor) -> tuple[Tensor, Tensor]:
        return self.draw(w_plus), self.landmarks(w_plus)


@pytest.fixture(scope="session")
def generator() -> StyleGAN2Generator:
    return small_generator()


@pytest.fixture
def canvas(generator: StyleGAN2Generator) -> Canvas:
    return Canvas(generator, size=16, feature_resolution=8, num_tokens=3)


@pytest.fixture
def rolling(generator: StyleGAN2Generator) -> RollingCanvas:
    return RollingCanvas(generator, size=64, feature_resolution=64, num_tokens=3)


@pytest.fixture
def shift() -> Shift:
    return Shift()


@pytest.fixture
def halting() -> Shift:
    """An editor that does only half of what it is asked."""
    return Shift(0.5)
