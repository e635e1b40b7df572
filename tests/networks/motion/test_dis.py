import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.motion.dis import DISMotion
from semsynth.networks.motion.geometry import pixel_grid, warp

SIZE = 96


def textured(seed: int = 0) -> Tensor:
    """A smooth random image (1, 3, H, W) in [-1, 1]."""
    noise = torch.randn(1, 3, SIZE // 4, SIZE // 4, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, size=SIZE, mode="bicubic").mul(0.4).clamp(-1, 1)


def zoom_flow(factor: float) -> Tensor:
    centred = pixel_grid(SIZE, SIZE, torch.device("cpu")) - (SIZE - 1) / 2
    return ((factor - 1) * centred)[None]


def inner(x: Tensor, margin: int = 16) -> Tensor:
    return x[..., margin:-margin, margin:-margin]


def test_content_that_moves_right_and_up_has_flow_to_the_right_and_up() -> None:
    image = textured()
    moved = torch.roll(image, (-3, 5), (2, 3))  # 5 pixels right, 3 up
    flow, log_expansion, valid = DISMotion()(image, moved)
    expected = torch.tensor([5.0, -3.0]).view(1, 2, 1, 1)
    assert (inner(flow) - expected).norm(dim=1).mean() < 0.2
    assert inner(log_expansion).abs().mean() < 0.01
    assert inner(valid).float().mean() > 0.97


def test_content_that_grows_has_the_negative_log_as_expansion() -> None:
    image = textured()
    larger = warp(image, zoom_flow(1 / 1.05))  # each pixel shows what was nearer to the centre
    flow, log_expansion, _ = DISMotion()(image, larger)
    assert (inner(flow) - inner(zoom_flow(1.05))).norm(dim=1).mean() < 0.2
    assert inner(log_expansion).median().item() == pytest.approx(-math.log(1.05), abs=5e-3)


def test_error_is_below_half_a_pixel_for_smooth_warps_of_four_pixels() -> None:
    image = textured()
    noise = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(1))
    back = F.interpolate(noise, size=SIZE, mode="bicubic", align_corners=True)
    back = back * 4 / back.square().sum(1).mean().sqrt()
    flow = DISMotion()(warp(image, back), image).flow  # a pixel of the first was at p + back
    assert inner((flow - back).norm(dim=1)).mean() < 0.5


def test_items_of_a_batch_equal_items_one_by_one_and_sizes_may_differ() -> None:
    pair = torch.cat([textured(0), textured(1)])[..., :80]
    moved = torch.roll(pair, 2, 3)
    together = DISMotion()(pair, moved)
    assert together.flow.shape == (2, 2, SIZE, 80)
    assert together.log_expansion.shape == together.valid.shape == (2, 1, SIZE, 80)
    for i in range(2):
        alone = DISMotion()(pair[i : i + 1], moved[i : i + 1])
        assert torch.equal(alone.flow[0], together.flow[i])


def test_small_images_are_enlarged_and_their_flow_is_in_their_own_pixels() -> None:
    image = F.avg_pool2d(textured(), 3)  # 32 x 32
    flow = DISMotion()(image, torch.roll(image, 1, 3)).flow
    assert inner(flow, 6)[:, 0].median().item() == pytest.approx(1, abs=0.1)
