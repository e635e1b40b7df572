"""Diversity within a class whose code is resampled, and in the rest of the image."""

from collections.abc import Iterator
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.metrics.base import ImageMetric
from semsynth.metrics.pairs import mean_distance_of_all, require_samples
from semsynth.metrics.perceptual import build_taps

CHUNK = 32  # images per forward pass
MIN_AREA = 0.01  # minimum share of the image that a class must cover, and leave uncovered, to count


class ClassDiversity(ImageMetric):
    """Class-specific and other-class diversity, by our definition.

    Zhu et al. (CVPR 2020) name the two but publish no exact definition and no code. Ours: n images
    of a mask differ in the code of one class c alone. CSD(c) is the mean perceptual distance over
    all pairs within the pixels of c, OCD(c) over all other pixels; both are averaged over masks,
    then over classes. A high ``mCSD`` and a low ``mOCD`` are good. A method without class-wise
    codes resamples its whole code, as it has no other way to change a class. Scores for codes
    resampled at one level only are logged too, as ``mCSD_lpips_alex_level0``.

    Args:
        features: Network that measures differences (see ``Diversity``).
        num_classes: Classes of the masks.
        num_levels: Levels with separate codes.
        region: ``spatial`` weights the distance map by the region; ``masked`` paints all other
            pixels grey in both images and averages the whole map.
    """

    csd_sum: Tensor
    ocd_sum: Tensor
    num_masks: Tensor

    def __init__(
        self,
        features: str,
        num_classes: int,
        num_levels: int = 0,
        region: Literal["spatial", "masked"] = "spatial",
    ) -> None:
        super().__init__()
        self.network = build_taps(features)
        self.region = region
        self.levels = range(num_levels)
        shape = (num_levels + 1, num_classes)  # the first row is for all levels together
        for name in ("csd_sum", "ocd_sum"):
            self.add_state(name, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("num_masks", torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")

    @property
    def wants(self) -> set[str]:
        """``varied`` images, their class and mask, and those of each level."""
        return {"varied", "varied_class", "mask", *map("varied_level{}".format, self.levels)}

    def update(
        self, varied: Tensor, varied_class: Tensor, mask: Tensor, **varied_level: Tensor
    ) -> None:
        """Add masks, each with images that differ in one class's code.

        Args:
            varied: Images (B, n, 3, H, W) in [-1, 1].
            varied_class: The class whose code differs (B,), int64.
            mask: Classes (B, H, W).
            varied_level: Images whose codes differ at one level, as ``varied_level0`` and so on.
        """
        of_levels = [varied_level[f"varied_level{i}"] for i in self.levels]
        for row, images in enumerate([varied, *of_levels]):
            self._add(row, images, varied_class, mask)

    def _add(self, row: int, varied: Tensor, varied_class: Tensor, mask: Tensor) -> None:
        require_samples(varied)
        if mask.shape != (len(varied), *varied.shape[3:]):
            raise ValueError(
                f"Images {tuple(varied.shape)} and masks {tuple(mask.shape)} differ in size."
            )
        if ((varied_class < 0) | (varied_class >= self.csd_sum.shape[1])).any():
            raise ValueError(
                f"varied_class must be in 0..{self.csd_sum.shape[1] - 1}, got "
                f"{varied_class.min()}..{varied_class.max()}; does num_classes fit the method?"
            )
        inside = mask == varied_class[:, None, None]
        share = inside.double().mean(dim=(1, 2))
        large = torch.minimum(share, 1 - share) >= MIN_AREA
        if not large.any():
            return
        varied, inside, cells = varied[large], inside[large], (varied_class[large],)
        csd, ocd = (self._distance(varied, region) for region in (inside, ~inside))
        self.csd_sum[row].index_put_(cells, csd, accumulate=True)
        self.ocd_sum[row].index_put_(cells, ocd, accumulate=True)
        self.num_masks[row].index_put_(cells, torch.ones_like(cells[0]), accumulate=True)

    def compute(self) -> dict[str, Tensor]:
        """``mCSD``, ``mOCD`` and the ratio mOCD / mCSD, for all levels and for each."""
        scores: dict[str, Tensor] = {}
        for level, num_masks in enumerate(self.num_masks):
            seen = num_masks > 0
            if not seen.any():
                continue
            name = f"{self.network.label}_{self.region}" + (f"_level{level - 1}" if level else "")
            csd, ocd = (
                (total[level][seen] / num_masks[seen]).mean()
                for total in (self.csd_sum, self.ocd_sum)
            )
            scores |= {f"mCSD_{name}": csd, f"mOCD_{name}": ocd, f"mOCD_mCSD_{name}": ocd / csd}
        return scores

    def protocol(self) -> dict[str, Any]:
        """Network, region and smallest area."""
        definition = {"region": self.region, "min_area": MIN_AREA, "pairs": "all"}
        return {**super().protocol(), **self.network.protocol(), **definition}

    def _distance(self, varied: Tensor, region: Tensor) -> Tensor:
        """Mean distance (B,) over pairs of images (B, n, 3, H, W) within regions (B, H, W)."""
        return mean_distance_of_all(self._taps(varied, region))

    def _taps(self, varied: Tensor, region: Tensor) -> Iterator[list[Tensor]]:
        """Taps (B, k, C, h, w) of a chunk of images at a time, weighted by their region."""
        B = len(varied)
        for images in varied.split(max(1, CHUNK // B), dim=1):
            if self.region == "masked":
                images = torch.where(region[:, None, None], images, 0)
            taps = [t.unflatten(0, (B, -1)) for t in self.network(images.flatten(0, 1))]
            if self.region == "spatial":
                taps = [t * weights_within(region, t.shape[-2:])[:, None].sqrt() for t in taps]
            yield taps


def weights_within(region: Tensor, size: tuple[int, int]) -> Tensor:
    """Weights of a small map whose weighted mean equals that of the enlarged map within a region.

    LPIPS enlarges the distance map of each tap bilinearly. Its transpose is applied to the region
    instead, once per mask.

    Args:
        region: Regions (B, H, W), bool.
        size: Height and width of the map.

    Returns:
        Weights (B, 1, *size), float32, of mean 1; all 0 for an empty region.
    """
    area = region.sum(dim=(1, 2), keepdim=True).clamp(min=1)
    rows, columns = (
        F.interpolate(torch.eye(small, device=region.device)[None], large, mode="linear")
        for small, large in zip(size, region.shape[1:], strict=True)
    )  # bilinear interpolation of one axis: (1, small, large)
    share = rows @ (region / area) @ columns.mT
    return share[:, None] * (size[0] * size[1])
