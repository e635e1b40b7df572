"""Metrics that need all features at once, in an order that depends only on the images."""

from typing import Any

import torch
from torch import Tensor

from semsynth.images import to_uint8
from semsynth.metrics.base import ImageMetric
from semsynth.metrics.features import build_features
from semsynth.networks.noise import hash_int64


def image_keys(image: Tensor) -> Tensor:
    """Keys (B,) that sort images (B, 3, H, W) equally in any batches and processes.

    A key is a sum of pixels with small random integer weights. Integer sums are exact in any order,
    and similar images have similar keys, so they keep their place.
    """
    pixels = to_uint8(image).flatten(1)
    weights = hash_int64(torch.arange(1, pixels.shape[1] + 1, device=image.device)) >> 48  # 16 bits
    return (pixels * weights).sum(dim=1)


class FeatureRows(ImageMetric):
    """Keeps the features of all real and all generated images.

    Args:
        extractor: Network whose features are compared (see ``FrechetDistance``).
    """

    real_states = ("rows_real", "keys_real")

    rows_real: list[Tensor]
    rows_fake: list[Tensor]
    keys_real: list[Tensor]
    keys_fake: list[Tensor]

    def __init__(self, extractor: str) -> None:
        super().__init__()
        self.extractor = build_features(extractor)
        for name in ("rows_real", "keys_real", "rows_fake", "keys_fake"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, image: Tensor, fake: Tensor) -> None:
        """Add real and generated images (B, 3, H, W) in [-1, 1]; their sizes may differ."""
        if self.loaded_real is None:
            self.rows_real.append(self.extractor.features_of(image))
            self.keys_real.append(image_keys(image))
        self.rows_fake.append(self.extractor.features_of(fake))
        self.keys_fake.append(image_keys(fake))

    def rows(self) -> tuple[Tensor, Tensor]:
        """Features (N, d) of generated and (M, d) of real images, sorted by the images' keys."""
        real = self.real_state()
        fake = self.state("rows_fake"), self.state("keys_fake")
        pairs = (fake, (real["rows_real"], real["keys_real"]))
        fake_rows, real_rows = (
            rows.to(self.device)[keys.to(self.device).argsort(stable=True)] for rows, keys in pairs
        )
        return fake_rows, real_rows

    def protocol(self) -> dict[str, Any]:
        """Extractor with its hash, and preprocessing."""
        return {**super().protocol(), **self.extractor.protocol()}
