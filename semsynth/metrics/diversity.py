"""Diversity of the images of one mask."""

from typing import Any

import torch
from torch import Tensor

from semsynth.metrics.base import MeanOverMasks
from semsynth.metrics.pairs import (
    PRESETS,
    Pairing,
    Preset,
    choose_pairs,
    mean_distance_of_all,
    mean_pair_distance,
    require_samples,
)
from semsynth.metrics.perceptual import Version, build_taps

CHUNK = 32  # images per forward pass


class Diversity(MeanOverMasks):
    """Mean perceptual distance between samples of one mask: higher is more diverse.

    The mean over pairs of the K samples of each mask is averaged over masks, and logged with its
    standard error as ``lpips_alex`` or ``lpips_vgg`` for LPIPS v0.1, and as ``diversity_toy`` for
    the features of a toy segmenter. The name also gives the pairs, unless all, or the preset:
    ``lpips_alex_consecutive``, ``lpips_bicyclegan``.

    Args:
        features: Network that measures differences: ``alex``, ``vgg``, ``toy_street``,
            ``toy_portrait``, or a segmenter's path. Omit with a preset.
        pairs: Which pairs of samples are compared.
        num_pairs: Number of random pairs.
        version: Version of LPIPS.
        preset: A paper's features, pairs and number of samples, instead of the other arguments.
    """

    higher_is_better = True

    def __init__(
        self,
        features: str | None = None,
        pairs: Pairing = "all",
        num_pairs: int = 0,
        version: Version = "0.1",
        preset: Preset | None = None,
    ) -> None:
        super().__init__()
        self.preset = preset
        self.num_samples: int | None = None
        if (features is None) == (preset is None):
            raise ValueError(
                f"Diversity takes either features or a preset, got features={features!r} and "
                f"preset={preset!r}. Presets are {', '.join(PRESETS)}."
            )
        if preset is not None:
            protocol = PRESETS[preset]
            features, version = protocol.features, protocol.version
            pairs, num_pairs = protocol.pairs, protocol.num_pairs
            self.num_samples = protocol.num_samples
        assert features is not None
        self.network = build_taps(features, version)
        self.pairs, self.num_pairs = pairs, num_pairs
        self.key = self._name()

    def update(self, fakes: Tensor) -> None:
        """Add masks, each with K samples: fakes (B, K, 3, H, W) in [-1, 1]."""
        require_samples(fakes)
        B, K = fakes.shape[:2]
        if self.num_samples not in (None, K):
            raise ValueError(
                f"The preset {self.preset} compares {self.num_samples} samples of each mask, got "
                f"{K}; set evaluation.num_samples to {self.num_samples}."
            )
        if self.pairs == "all":
            chunks = (self._taps(chunk) for chunk in fakes.split(max(1, CHUNK // B), dim=1))
            self.add(mean_distance_of_all(chunks))
        else:
            pairs = choose_pairs(self.pairs, K, self.num_pairs)
            self.add(mean_pair_distance(self.network, fakes, pairs, CHUNK))

    def compute(self) -> dict[str, Tensor]:
        """Mean over masks and standard error, named after the features."""
        return self.scores(self.key)

    def protocol(self) -> dict[str, Any]:
        """Network and pairs; the caller adds the number of samples."""
        pairs = {"pairs": self.pairs, "num_pairs": self.num_pairs, "preset": self.preset}
        return {**super().protocol(), **self.network.protocol(), **pairs}

    def _taps(self, fakes: Tensor) -> list[Tensor]:
        B, k = fakes.shape[:2]
        return [tap.unflatten(0, (B, k)) for tap in self.network(fakes.flatten(0, 1))]

    def _name(self) -> str:
        if self.preset is not None:
            return f"lpips_{self.preset.removesuffix('-vgg')}"
        label = self.network.label
        name = label if label.startswith("lpips") else f"diversity_{label}"
        return name if self.pairs == "all" else f"{name}_{self.pairs}"


class Top1Similarity(MeanOverMasks):
    """Perceptual distance from the real image to the nearest sample: lower is better.

    The nearest of the K samples of a mask has the smallest L1 distance (Li et al., ICCV 2019; Endo
    & Kanamori, CGF 2020, use K = 40). Logged as ``top1_lpips_alex`` or ``top1_toy``, with its
    standard error over masks.

    Args:
        features: Network that measures differences (see ``Diversity``).
    """

    higher_is_better = False

    def __init__(self, features: str) -> None:
        super().__init__()
        self.network = build_taps(features)

    def update(self, fakes: Tensor, image: Tensor) -> None:
        """Add K samples (B, K, 3, H, W) of each mask and its real image (B, 3, H, W) in [-1, 1]."""
        if fakes.ndim != 5 or fakes[:, 0].shape != image.shape:
            raise ValueError(
                "Expected fakes (B, K, 3, H, W) and images (B, 3, H, W) of the same size, got "
                f"{tuple(fakes.shape)} and {tuple(image.shape)}."
            )
        nearest = (fakes - image[:, None]).abs().mean(dim=(2, 3, 4)).argmin(dim=1)
        chosen = fakes[torch.arange(len(fakes), device=fakes.device), nearest]
        self.add(self.network.distance(chosen, image))

    def compute(self) -> dict[str, Tensor]:
        """Mean over masks and standard error."""
        return self.scores(f"top1_{self.network.label}")

    def protocol(self) -> dict[str, Any]:
        """Network, and how the nearest sample is chosen."""
        return {**super().protocol(), **self.network.protocol(), "nearest_by": "L1"}
