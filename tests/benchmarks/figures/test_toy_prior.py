import pytest
import torch

from benchmarks.figures.toy_prior import NUM_CLASSES, complete, mean_iou, measure, sheet
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.networks.unet import UNet


class Painter(UNet):
    """Says that the red value of a pixel is its class."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (B, K, H, W)."""
        labels = ((image[:, 0] + 1) * 127.5).round().long()
        return torch.nn.functional.one_hot(labels, NUM_CLASSES).movedim(3, 1).float()


def test_mean_iou_counts_all_pixels_together() -> None:
    truth = torch.tensor([[[0, 0], [1, 1]], [[0, 0], [0, 0]]])
    predicted = torch.tensor([[[0, 1], [1, 1]], [[0, 0], [0, 0]]])
    assert mean_iou(predicted, truth) == pytest.approx((5 / 6 + 2 / 3) / 2)


def test_an_image_is_complete_if_every_class_has_four_pixels() -> None:
    full = torch.arange(NUM_CLASSES).repeat_interleave(4).view(6, 6)
    lacking = torch.where((full == 3) & (torch.arange(6) == 0), 2, full)
    images = torch.stack([full, lacking])[:, None].expand(-1, 3, -1, -1) / 127.5 - 1
    assert complete(Painter(NUM_CLASSES, 4, 1), images) == 0.5


def test_an_untrained_prior_is_measured_and_drawn() -> None:
    torch.manual_seed(0)
    generator = StyleGAN2Generator(64, 8, 8, 2, 256, 8)
    scores = measure(generator, 32)
    assert scores["fd_toy_psi_1.0"] > 10 * scores["fd_toy_floor"]
    assert scores["complete_real"] > 0.9
    assert 0 < scores["one_shot_miou_32"] < 1
    assert sheet(generator, 3).shape == (3, 6 * 66 - 2, 3 * 66 - 2)
