"""Encoder of class- and layer-wise VAEs (Endo and Kanamori, Pacific Graphics 2020).

Paper: https://arxiv.org/abs/2106.13416. Levels count from 0, the finest (stride 2).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.networks.clvae.layouts import fill_ignored, level_mask
from semsynth.networks.clvae.spade import LEAK
from semsynth.networks.clvae.spectral import spectral_conv
from semsynth.networks.noise import hash_int64, seeded_normal

NUM_LEVELS = 5
MIDDLE_LEVEL = 2
_WIDTHS = (1, 2, 4, 8, 8, 8)  # times channels; the last block gives the global code


class Posterior(NamedTuple):
    """Gaussian codes of a batch of images; zero for absent classes."""

    mu_global: Tensor  # means (B, z_dim)
    logvar_global: Tensor  # log-variances (B, z_dim)
    mu: Tensor  # means of the local codes (B, L, K, N)
    logvar: Tensor  # their log-variances (B, L, K, N)
    present: Tensor  # whether the class covers a pixel of the level (B, L, K)
    prior: tuple[Tensor, Tensor] | None = None  # mu and logvar of the local codes, if not N(0, 1)


def code_levels(num_levels: int, *, class_wise: bool, layer_wise: bool) -> tuple[int, ...]:
    """Levels of the encoder with local codes."""
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


def classes_present(mask: Tensor, num_classes: int) -> Tensor:
    """Classes (B, num_classes), bool, present in label maps (B, H, W)."""
    return rows_present(fill_ignored(mask, num_classes), num_classes)


def draw_class(mask: Tensor, seed: Tensor, num_classes: int) -> Tensor:
    """A random class (B,) present in each label map (B, H, W), by seeds (B,)."""
    luck = seeded_normal(hash_int64(seed), num_classes)
    return luck.masked_fill(~classes_present(mask, num_classes), -torch.inf).argmax(1)


def rows_of(mask: Tensor, instance: Tensor | None, num_classes: int, per_class: int) -> Tensor:
    """Row of the codes of each pixel (B, H, W), from 0; the last for ignored pixels.

    With one row ``per_class`` it is the class; several need instance maps (B, H, W).
    """
    if per_class == 1:
        return fill_ignored(mask, num_classes)
    if instance is None:
        raise ValueError(
            f"instances_per_class is {per_class}, but the batch has no instance map; use data with "
            "instances, or one instance per class."
        )
    return instance_rows(mask, instance, num_classes, per_class)


def instance_rows(mask: Tensor, instance: Tensor, num_classes: int, per_class: int) -> Tensor:
    """Rows of instances: class * per_class + number (B, H, W); the last if ignored.

    Instances are numbered within their class, in the order of their ids; those beyond the last row
    share it. Nothing synchronises with the device.
    """
    labels = fill_ignored(mask, num_classes).flatten(1)
    keys, order = (labels * (1 << 32) + instance.flatten(1)).sort(1)
    labels = keys >> 32
    first = torch.zeros_like(labels[:, :1])
    number = torch.cat([first, (keys[:, 1:] != keys[:, :-1]).cumsum(1)], 1)
    starts = torch.cat([first, labels[:, 1:] != labels[:, :-1]], 1) * number
    within = (number - starts.cummax(1).values).clamp_max(per_class - 1)
    rows = torch.where(labels == num_classes, labels * per_class, labels * per_class + within)
    return torch.empty_like(rows).scatter(1, order, rows).view_as(mask)


def rows_present(rows: Tensor, num_rows: int) -> Tensor:
    """Rows (B, num_rows), bool, present in maps (B, H, W); ``num_rows`` is dropped."""
    slots = torch.zeros(len(rows), num_rows + 1, dtype=torch.bool, device=rows.device)
    return slots.scatter(1, rows.flatten(1), True)[:, :num_rows]


def pool_by_row(features: Tensor, rows: Tensor, num_rows: int) -> tuple[Tensor, Tensor]:
    """Maximum activation (B, K, D) of each channel over the pixels of each row; presence (B, K).

    Rows (B, h, w) of the activations (B, D, h, w) are classes or instances, ``num_rows`` for
    ignored pixels; absent ones give 0.
    """
    B, D, _, _ = features.shape
    index = rows.flatten(1)[:, None].expand(-1, D, -1)
    x = features.flatten(2).float()  # half precision cannot count the ties in the backward pass
    pooled = x.new_full((B, D, num_rows + 1), -torch.inf).scatter_reduce(2, index, x, "amax")
    pooled = pooled[..., :num_rows].transpose(1, 2)
    present = rows_present(rows, num_rows)
    return torch.where(present[..., None], pooled, 0.0), present


class GaussianHead(nn.Module):
    """Mean and log-variance of a code, each linear in the activations."""

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

    Images and masks are resized to ``encoder_size``. With ``layer_wise`` the trunk has one block
    more than levels (the paper's L); without, the middle level gives the codes. ``z_dim`` may be 0.
    ``levels`` are the levels to read, possibly repeated. Otherwise as in ``CLVAEGenerator``.
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
        instances_per_class: int = 1,
        levels: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        switches = {"class_wise": class_wise, "layer_wise": layer_wise}
        self.levels = levels or code_levels(num_levels, **switches)
        _, K, N = local_code_shape(num_classes, code_dim, num_levels, **switches)
        self.code_shape = (len(self.levels), K * instances_per_class, N)
        self.num_classes, self.class_wise = num_classes, class_wise
        self.instances_per_class = instances_per_class
        num_blocks = num_levels + 1 if layer_wise else NUM_LEVELS + 1
        num_blocks = num_blocks if z_dim else max(self.levels) + 1  # the rest is only for z
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
        self.heads = nn.ModuleList(GaussianHead(widths[j], N) for j in self.levels)
        if z_dim:
            self.global_head = GaussianHead(widths[-1] * self.grid**2, z_dim)
        self.z_dim = z_dim

    def forward(self, image: Tensor, mask: Tensor, instance: Tensor | None = None) -> Posterior:
        """Posterior of images (B, 3, H, W) in [-1, 1] under label and instance maps (B, H, W)."""
        if mask.ndim != 3 or image.shape[-2:] != mask.shape[-2:]:
            raise ValueError(
                f"mask must have shape (B, H, W) of image {tuple(image.shape)}, "
                f"got {tuple(mask.shape)}; resize it or drop the channel axis."
            )
        rows = rows_of(mask, instance, self.num_classes, self.instances_per_class)
        image, rows = self.resize(image, rows)
        maps = self.feature_maps(image)
        return Posterior(*self.encode_global(maps[-1]), *self.encode_local(maps, rows))

    def resize(self, image: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Bring both to (encoder_size, encoder_size); the aspect ratio is not kept."""
        size = (self.encoder_size, self.encoder_size)
        if tuple(rows.shape[-2:]) == size:
            return image, rows
        image = F.interpolate(image, size=size, mode="bilinear", align_corners=False)
        resized = F.interpolate(rows[:, None].float(), size=size, mode="nearest")
        return image, resized[:, 0].long()

    def feature_maps(self, image: Tensor) -> list[Tensor]:
        """Normalised maps, fine to coarse, before their activation."""
        maps: list[Tensor] = []
        for block in self.blocks:
            maps.append(block(F.leaky_relu(maps[-1], LEAK) if maps else image))
        return maps

    def encode_global(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, z_dim) from the last map."""
        if not self.z_dim:
            none = features.new_zeros(len(features), 0, dtype=torch.float32)
            return none, none
        if features.shape[-1] != self.grid:  # fewer blocks; the paper says "resized", not how
            features = F.interpolate(features, size=(self.grid, self.grid), mode="area")
        return self.global_head(features.flatten(1))

    def encode_local(self, maps: list[Tensor], rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Means and log-variances (B, L, K, N) and presence (B, L, K)."""
        if not self.levels:
            empty = maps[0].new_zeros(len(rows), *self.code_shape, dtype=torch.float32)
            return empty, empty, empty[..., 0].bool()
        codes = [
            self.encode_level(head, maps[level], level_mask(rows, level))
            for head, level in zip(self.heads, self.levels, strict=True)
        ]
        mu, logvar, present = (torch.stack(parts, dim=1) for parts in zip(*codes, strict=True))
        return mu, logvar, present

    def encode_level(
        self, head: nn.Module, features: Tensor, rows: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and log-variance (B, K, N) and presence (B, K) of one level."""
        if self.class_wise:
            pooled, present = pool_by_row(features, rows, self.code_shape[1])
        else:
            pooled = features.amax((2, 3))[:, None]  # (B, 1, D)
            present = torch.ones_like(pooled[..., 0], dtype=torch.bool)
        mu, logvar = head(pooled)
        return mu * present[..., None], logvar * present[..., None], present
