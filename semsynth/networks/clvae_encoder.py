"""Encoder of class- and layer-wise VAEs (Endo and Kanamori, Pacific Graphics 2020).

Paper: https://arxiv.org/abs/2106.13416. Levels count from 0, the finest (stride 2).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.networks.spade import IGNORE_INDEX, LEAK, spectral_conv

NUM_LEVELS = 5
MIDDLE_LEVEL = 2
_WIDTHS = (1, 2, 4, 8, 8, 8)  # times channels; the last block gives the global code


class Posterior(NamedTuple):
    """Gaussian codes of a batch of images.

    Attributes:
        mu_global: Means of the global codes (B, z_dim).
        logvar_global: Log-variances of the global codes (B, z_dim).
        mu: Means of the local codes (B, L, K, N); zero where not present.
        logvar: Log-variances of the local codes (B, L, K, N); zero where not present.
        present: Whether the class covers a pixel of the level (B, L, K).
    """

    mu_global: Tensor
    logvar_global: Tensor
    mu: Tensor
    logvar: Tensor
    present: Tensor


def code_levels(num_levels: int, *, class_wise: bool, layer_wise: bool) -> tuple[int, ...]:
    """Levels of the encoder that give local codes."""
    if not 0 <= num_levels <= NUM_LEVELS:
        raise ValueError(f"num_levels must be 0 to {NUM_LEVELS}, got {num_levels}; choose one.")
    if layer_wise:
        return tuple(range(num_levels))
    return (MIDDLE_LEVEL,) if class_wise else ()


def local_code_shape(
    num_classes: int, code_dim: int | None, num_levels: int, *, class_wise: bool, layer_wise: bool
) -> tuple[int, int, int]:
    """Shape (L, K, N) of the local codes of one image: levels, classes, dimension."""
    levels = code_levels(num_levels, class_wise=class_wise, layer_wise=layer_wise)
    return len(levels), num_classes if class_wise else 1, code_dim or num_classes


def level_mask(mask: Tensor, level: int) -> Tensor:
    """Label map of a level, by nearest neighbour: (B, H, W) to (B, H / 2^(j+1), W / 2^(j+1))."""
    stride = 2 ** (level + 1)
    return mask[:, ::stride, ::stride]


def fill_ignored(mask: Tensor, num_classes: int) -> Tensor:
    """Give ignored pixels the label ``num_classes``: a slot of their own, to be dropped."""
    return mask.masked_fill(mask == IGNORE_INDEX, num_classes)


def classes_present(mask: Tensor, num_classes: int) -> Tensor:
    """Classes (B, num_classes), bool, that cover a pixel of label maps (B, H, W)."""
    index = fill_ignored(mask, num_classes).flatten(1)
    slots = torch.zeros(len(mask), num_classes + 1, dtype=torch.bool, device=mask.device)
    return slots.scatter(1, index, True)[:, :num_classes]


def pool_by_class(features: Tensor, mask: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Largest activation of each channel over the pixels of each class.

    Args:
        features: Activations (B, D, h, w).
        mask: Label map (B, h, w); ignored pixels are in no class.
        num_classes: Number of classes C.

    Returns:
        Maxima (B, C, D), float32, zero for absent classes; presence (B, C), bool.
    """
    B, D, _, _ = features.shape
    index = fill_ignored(mask, num_classes).flatten(1)[:, None].expand(-1, D, -1)
    x = features.flatten(2).float()  # half precision cannot count the ties in the backward pass
    pooled = x.new_full((B, D, num_classes + 1), -torch.inf).scatter_reduce(2, index, x, "amax")
    pooled = pooled[..., :num_classes].transpose(1, 2)
    present = classes_present(mask, num_classes)
    return torch.where(present[..., None], pooled, 0.0), present


class GaussianHead(nn.Module):
    """Mean and log-variance of a code, each linear in the activations.

    Args:
        in_channels: Dimension of the activations.
        out_channels: Dimension of the code.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.mu = nn.Linear(in_channels, out_channels)
        self.logvar = nn.Linear(in_channels, out_channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (..., out_channels), float32, of activations (..., in_channels)."""
        x = F.leaky_relu(x, LEAK)
        return self.mu(x).float(), self.logvar(x).float()


class CLVAEEncoder(nn.Module):
    """Encode an image into one global code and a local code for each class and level.

    Args:
        num_classes: Number of classes.
        channels: Channels of the first block.
        z_dim: Dimension of the global code.
        code_dim: Dimension of a local code; the number of classes if not given, as in the paper.
        num_levels: Levels with local codes; the trunk has one block more (the paper's L).
            Only read with ``layer_wise``.
        class_wise: Whether each class has its own codes.
        layer_wise: Whether each level has its own codes; if not, the middle level gives them.
        encoder_size: Height and width that images and masks are resized to.
    """

    def __init__(
        self,
        num_classes: int,
        channels: int = 64,
        z_dim: int = 256,
        code_dim: int | None = None,
        num_levels: int = NUM_LEVELS,
        *,
        class_wise: bool = True,
        layer_wise: bool = True,
        encoder_size: int = 256,
    ) -> None:
        super().__init__()
        switches = {"class_wise": class_wise, "layer_wise": layer_wise}
        self.levels = code_levels(num_levels, **switches)
        self.code_shape = local_code_shape(num_classes, code_dim, num_levels, **switches)
        self.num_classes, self.class_wise = num_classes, class_wise
        num_blocks = num_levels + 1 if layer_wise else NUM_LEVELS + 1
        if encoder_size < 2 ** (num_blocks + 1):
            raise ValueError(
                f"encoder_size must be at least {2 ** (num_blocks + 1)} for {num_blocks} blocks, "
                f"got {encoder_size}; instance normalisation needs more than one pixel."
            )
        self.encoder_size = encoder_size
        self.grid = max(1, encoder_size // 2 ** len(_WIDTHS))  # of six blocks, if there are fewer
        widths = [channels * factor for factor in _WIDTHS[:num_blocks]]
        self.blocks = nn.ModuleList(
            nn.Sequential(spectral_conv(a, b, 3, stride=2, bias=False), nn.InstanceNorm2d(b))
            for a, b in zip([3, *widths[:-1]], widths, strict=True)
        )
        self.heads = nn.ModuleList(GaussianHead(widths[j], self.code_shape[2]) for j in self.levels)
        self.global_head = GaussianHead(widths[-1] * self.grid**2, z_dim)

    def forward(self, image: Tensor, mask: Tensor) -> Posterior:
        """Encode images.

        Args:
            image: Images (B, 3, H, W) in [-1, 1].
            mask: Label maps (B, H, W), int64.

        Returns:
            Posterior of the global and local codes.
        """
        if mask.ndim != 3 or image.shape[-2:] != mask.shape[-2:]:
            raise ValueError(
                f"mask must have shape (B, H, W) of image {tuple(image.shape)}, "
                f"got {tuple(mask.shape)}; resize it or drop the channel axis."
            )
        image, mask = self.resize(image, mask)
        maps = self.feature_maps(image)
        return Posterior(*self.encode_global(maps[-1]), *self.encode_local(maps, mask))

    def resize(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Bring both to (encoder_size, encoder_size); the aspect ratio is not kept."""
        size = (self.encoder_size, self.encoder_size)
        if tuple(mask.shape[-2:]) == size:
            return image, mask
        image = F.interpolate(image, size=size, mode="bilinear", align_corners=False)
        labels = F.interpolate(mask[:, None].float(), size=size, mode="nearest")
        return image, labels[:, 0].long()

    def feature_maps(self, image: Tensor) -> list[Tensor]:
        """Normalised maps, fine to coarse, before their activation."""
        maps: list[Tensor] = []
        for block in self.blocks:
            maps.append(block(F.leaky_relu(maps[-1], LEAK) if maps else image))
        return maps

    def encode_global(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, z_dim) from the last map."""
        if features.shape[-1] != self.grid:  # fewer blocks; the paper says "resized", not how
            features = F.interpolate(features, size=(self.grid, self.grid), mode="area")
        return self.global_head(features.flatten(1))

    def encode_local(self, maps: list[Tensor], mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Means and log-variances (B, L, K, N) and presence (B, L, K)."""
        if not self.levels:
            empty = maps[0].new_zeros(len(mask), *self.code_shape, dtype=torch.float32)
            return empty, empty, empty[..., 0].bool()
        codes = [
            self.encode_level(head, maps[level], level_mask(mask, level))
            for head, level in zip(self.heads, self.levels, strict=True)
        ]
        mu, logvar, present = (torch.stack(parts, dim=1) for parts in zip(*codes, strict=True))
        return mu, logvar, present

    def encode_level(
        self, head: nn.Module, features: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and log-variance (B, K, N) and presence (B, K) of one level."""
        if self.class_wise:
            pooled, present = pool_by_class(features, mask, self.num_classes)
        else:
            pooled = features.amax((2, 3))[:, None]  # (B, 1, D)
            present = torch.ones_like(pooled[..., 0], dtype=torch.bool)
        mu, logvar = head(pooled)
        return mu * present[..., None], logvar * present[..., None], present
