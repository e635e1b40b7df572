"""Augmented views of labelled photos: rotated and mirrored."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ANGLE = math.radians(10)


def make_views(image: Tensor, mask: Tensor, flip_lookup: Tensor) -> tuple[Tensor, Tensor]:
    """Photos, rotated to both sides, and all of these mirrored: (6 N, 3, H, W).

    Label maps (N, H, W) are transformed likewise; ``flip_lookup`` (256,) is the class of each class
    in the mirror. Padding is by reflection.
    """
    images, masks = [image.float()], [mask]
    for angle in (-ANGLE, ANGLE):
        turned, labels = turn(image.float(), mask, angle)
        images.append(turned)
        masks.append(labels)
    upright, labels = torch.cat(images), torch.cat(masks)
    mirrored = flip_lookup.to(mask.device)[labels.flip(-1)]
    return torch.cat([upright, upright.flip(-1)]), torch.cat([labels, mirrored])


def turn(image: Tensor, mask: Tensor, angle: float) -> tuple[Tensor, Tensor]:
    """Rotate photos (N, 3, H, W) and label maps (N, H, W) clockwise by radians."""
    N, _, H, W = image.shape
    cos, sin = math.cos(angle), math.sin(angle)
    matrix = image.new_tensor([[cos, sin * H / W, 0], [-sin * W / H, cos, 0]]).expand(N, 2, 3)
    grid = F.affine_grid(matrix, [N, 1, H, W], align_corners=False)
    turned = F.grid_sample(image, grid, "bilinear", "reflection", align_corners=False)
    values = mask[:, None].float()
    labels = F.grid_sample(values, grid, "nearest", "reflection", align_corners=False)
    return turned, labels[:, 0].round().long()
