"""Strong augmentation of images with their label maps, per sample."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.recolouring import rotate_hue, saturate

LOG_SCALE, LOG_ASPECT = math.log(1.3), math.log(1.1)
ANGLE = math.radians(10)
SHIFT = 0.24  # of the image, whose half is 1
HUE = math.pi / 5
COLOUR = 0.5  # of saturation, contrast and brightness, as a factor
NOISE = 0.03


def augment_pairs(image: Tensor, mask: Tensor, flip: bool = True) -> tuple[Tensor, Tensor]:
    """Mirror, shift, rotate, scale and jitter the colours of samples, by torch's generator.

    Images (B, 3, H, W) are in [-1, 1]. ``flip`` mirrors half of them; not for data with left and
    right classes. Padding is by reflection.
    """
    B, _, H, W = image.shape
    grid = F.affine_grid(random_affine(B, flip, image.device), [B, 1, H, W], align_corners=False)
    moved = F.grid_sample(image.float(), grid, "bilinear", "reflection", align_corners=False)
    values = mask[:, None].float()
    labels = F.grid_sample(values, grid, "nearest", "reflection", align_corners=False)
    return jitter_colours(moved), labels[:, 0].round().to(mask.dtype)


def random_affine(count: int, flip: bool, device: torch.device) -> Tensor:
    """Maps (B, 2, 3) from positions in the result to positions in the image."""
    scale, aspect, angle, x, y, side = (2 * torch.rand(6, count, device=device) - 1).unbind(0)
    scale, aspect, angle = (LOG_SCALE * scale).exp(), (LOG_ASPECT * aspect).exp(), ANGLE * angle
    mirror = torch.where((side < 0) & flip, -1.0, 1.0)
    cos, sin = angle.cos() / scale, angle.sin() / scale
    first = torch.stack([mirror * cos * aspect, -sin, SHIFT * x], -1)
    second = torch.stack([mirror * sin, cos / aspect, SHIFT * y], -1)
    return torch.stack([first, second], 1)


def jitter_colours(image: Tensor) -> Tensor:
    """Change hue, saturation, contrast and brightness of images (B, 3, H, W), and add noise."""
    B, device = len(image), image.device
    hue, saturation, contrast, brightness = (2 * torch.rand(4, B, device=device) - 1).unbind(0)
    matrix = saturate(1 + COLOUR * saturation) @ rotate_hue(HUE * hue)
    pixels = torch.einsum("bij,bjhw->bihw", matrix, (image + 1) / 2)
    mean = pixels.mean((1, 2, 3), keepdim=True)
    pixels = mean + (pixels - mean) * (1 + COLOUR * contrast).view(B, 1, 1, 1)
    pixels = pixels * (1 + COLOUR * brightness).view(B, 1, 1, 1)
    strength = NOISE * torch.rand(B, 1, 1, 1, device=device)
    return pixels.clamp(0, 1) * 2 - 1 + strength * torch.randn_like(image)
