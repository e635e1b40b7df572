"""Mask augmentation: mirroring, affine and smooth warps, and pasting from other masks."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.fewshot.label_augmentation import GRID, displace
from semsynth.networks.noise import hash_int64, seeded_normal, seeded_uniform

LOG_SCALE, LOG_ASPECT = math.log(1.25), math.log(1.15)
ANGLE = math.radians(6)
SHIFT = 0.2  # of a mask from -1 to 1
BEND = 0.02  # of the height, standard deviation of the smooth displacement


class MaskEdit:
    """Augments masks, each by its seed.

    Args:
        warp: Mirror, shift, rotate, scale and bend masks.
        paste: Classes that are also pasted from another mask, warped independently.
        flip_lookup: Class of each value in the mirror (256,), int64; by default the same.
    """

    def __init__(
        self,
        warp: bool = True,
        paste: Sequence[int] = (),
        flip_lookup: Tensor | None = None,
    ) -> None:
        self.warp, self.paste = warp, tuple(paste)
        self.flip_lookup = torch.arange(256) if flip_lookup is None else flip_lookup

    def __call__(self, masks: Tensor, chosen: Tensor, seed: Tensor) -> Tensor:
        """Edited masks.

        Args:
            masks: All label maps (M, H, W).
            chosen: Indices of the masks to edit (B,).
            seed: Seeds (B,), int64.

        Returns:
            Label maps (B, H, W).
        """
        result = masks[chosen].long()
        if self.warp:
            result = warp_masks(result, seed, self.flip_lookup)
        if not self.paste:
            return result
        other = hash_int64(seed)
        partner = (seeded_uniform(other, 1)[:, 0] * len(masks)).long()
        things = warp_masks(masks[partner].long(), other, self.flip_lookup)
        taken = seeded_uniform(hash_int64(other), 256) < 0.5  # each class with probability one half
        wanted = torch.zeros(256, dtype=torch.bool)
        wanted[list(self.paste)] = True
        row = torch.arange(len(things))[:, None, None]
        return torch.where((taken & wanted)[row, things], things, result)


def warp_masks(mask: Tensor, seed: Tensor, flip_lookup: Tensor) -> Tensor:
    """Mirror, shift, rotate, scale and bend label maps (B, H, W), int64, padded by reflection."""
    B, H, W = mask.shape
    draw = 2 * seeded_uniform(seed, 6).float() - 1
    scale, aspect = (LOG_SCALE * draw[:, 0]).exp(), (LOG_ASPECT * draw[:, 1]).exp()
    angle = ANGLE * draw[:, 2]
    mirrored = draw[:, 5] < 0
    side = torch.where(mirrored, -1.0, 1.0)
    cos, sin = angle.cos() / scale, angle.sin() / scale
    first = torch.stack([side * cos * aspect, -sin, SHIFT * draw[:, 3]], -1)
    second = torch.stack([side * sin, cos / aspect, SHIFT * draw[:, 4]], -1)
    matrix = torch.stack([first, second], 1)
    grid = F.affine_grid(matrix, [B, 1, H, W], align_corners=False)
    moved = F.grid_sample(
        mask[:, None].float(), grid, mode="nearest", padding_mode="reflection", align_corners=False
    )
    labels = moved[:, 0].round().long()
    labels = torch.where(mirrored.view(B, 1, 1), flip_lookup[labels], labels)
    field = BEND * H * seeded_normal(hash_int64(seed + 1), 2, GRID, GRID)
    if H != W:
        return labels  # only square maps are bent
    return displace(labels, torch.zeros(B, 2), field, H)
