"""Base of the toy worlds: random factors of each sample, and rendering of a batch."""

import math
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from semsynth.data.labels import LabelSpace
from semsynth.data.toy.drawing import Part, pixel_centres, topmost
from semsynth.data.toy.shading import hsv_to_rgb, shade

Factors = dict[str, Tensor]
Range = tuple[float, float]
LayoutRanges = Mapping[str, tuple[float, float] | tuple[float, float, int]]

_LAYOUT, _APPEARANCE = 0, 1  # independent random streams


CLASS_LOOKS = ("base", "accent", "texture", "frequency", "amplitude", "angle", "phase")
"""Factors of the appearance per class."""


class Rendering(NamedTuple):
    """A batch of the toy world.

    Attributes:
        image: Anti-aliased image (B, 3, H, W) in [-1, 1].
        mask: Class at each pixel's centre (B, H, W), int64.
        instance: Instance at each pixel's centre (B, H, W), int64; 0 is no instance.
    """

    image: Tensor
    mask: Tensor
    instance: Tensor


class Style(NamedTuple):
    """Appearance of a class; each attribute is the range of a uniform distribution.

    Attributes:
        hue: Hue of the base colour; may leave [0, 1] and wraps.
        saturation: Saturation of the base colour in [0, 1].
        value: Value of the base colour in [0, 1].
        frequency: Waves of the texture per unit length; an image is two units wide.
        amplitude: Weight of the accent colour in the texture's extremes.
    """

    hue: Range
    saturation: Range
    value: Range
    frequency: Range = (2.5, 5.5)
    amplitude: Range = (0.5, 1.0)


class World:
    """A distribution of images with known parts.

    Subclasses define the factors and parts. Factors of a sample depend only on the seed and its
    index.
    """

    label_space: ClassVar[LabelSpace]
    layout_ranges: ClassVar[LayoutRanges]
    """Low, high, and for factors of several objects their number."""
    styles: ClassVar[tuple[Style, ...]]
    """One for each class."""

    def sample_layout(self, seed: int, indices: Tensor) -> Factors:
        """Draw the factors of ``layout_ranges`` that make the mask: (B,) or (B, number) each."""
        counts = [ranges[2] if len(ranges) == 3 else 1 for ranges in self.layout_ranges.values()]
        draws = torch.split_with_sizes(_uniform(seed, indices, _LAYOUT, sum(counts)), counts, 1)
        return {
            name: (ranges[0] + (ranges[1] - ranges[0]) * draw).squeeze(1)
            for (name, ranges), draw in zip(self.layout_ranges.items(), draws, strict=True)
        }

    def sample_appearance(self, seed: int, indices: Tensor) -> Factors:
        """Draw everything that does not affect the mask, independently for each class.

        Returns:
            ``base`` and ``accent`` colours (B, num_classes, 3) in [0, 1]; ``texture`` (B,
            num_classes), int64, 0 for none, 1 for stripes, 2 for noise, with its ``frequency``,
            ``amplitude``, ``angle`` (B, num_classes) and ``phase`` (B, num_classes, 2) in [0, 1);
            the global ``tint`` (B, 3), a gain of each channel.
        """
        B, num_classes = len(indices), self.label_space.num_classes
        draws = _uniform(seed, indices, _APPEARANCE, 12 * num_classes + 2)
        draw = draws[:, 2:].view(B, num_classes, 12)
        ranges = torch.tensor(self.styles)  # (num_classes, 5, 2)
        prior = ranges[..., 0] + (ranges[..., 1] - ranges[..., 0]) * draw[..., :5]
        hsv, (frequency, amplitude) = prior[..., :3], prior[..., 3:].unbind(2)
        factors = {
            "base": hsv_to_rgb(hsv),
            "accent": hsv_to_rgb(_accent(hsv, draw[..., 5:8])),
            "texture": (3 * draw[..., 8]).long(),
            "frequency": frequency,
            "amplitude": amplitude,
            "angle": math.pi * draw[..., 9],
            "phase": draw[..., 10:],
        }
        return factors | self._atmosphere(factors["base"], draws[:, :2])

    def render(self, layout: Factors, appearance: Factors, image_size: int) -> Rendering:
        """Paint a batch of factors; the mask does not depend on the appearance."""
        parts = self.parts(layout)
        x, y = pixel_centres(2 * image_size)  # 2 x 2 supersampling against aliasing
        image = _halve(shade(parts, topmost(parts, x, y), appearance, x, y))
        seen = topmost(parts, *pixel_centres(image_size))
        mask = torch.tensor([part.label for part in parts])[seen]
        instance = torch.tensor([part.instance for part in parts])[seen]
        return Rendering(image * 2 - 1, mask, instance)

    def parts(self, layout: Factors) -> list[Part]:
        """The parts of a layout in drawing order; the first covers the whole image."""
        raise TypeError(f"{type(self).__name__} does not implement parts.")

    def _atmosphere(self, base: Tensor, draw: Tensor) -> Factors:
        """``tint`` (B, 3) and replaced factors, from base colours and numbers in [0, 1) (B, 2)."""
        raise TypeError(f"{type(self).__name__} does not implement _atmosphere.")


def _uniform(seed: int, indices: Tensor, stream: int, count: int) -> Tensor:
    """Numbers in [0, 1) of each sample (B, count), float32."""
    rows = [
        np.random.default_rng([seed, index, stream]).random(count, np.float32)
        for index in indices.tolist()
    ]
    return torch.from_numpy(np.stack(rows))


def _accent(hsv: Tensor, draw: Tensor) -> Tensor:
    """A colour (..., 3) in contrast to an HSV one: a close hue, brighter on dark."""
    hue, saturation, value = hsv.unbind(-1)
    shift = 0.25 + 0.2 * draw[..., 2]
    value = torch.where(value > 0.55, value - shift, value + shift)
    saturation = (saturation + 0.4 * (draw[..., 1] - 0.5)).clamp(0, 1)
    return torch.stack([hue + 0.2 * (draw[..., 0] - 0.5), saturation, value], -1)


def _halve(image: Tensor) -> Tensor:
    """Mean of each 2 x 2 pixels, five times faster than ``avg_pool2d`` on a CPU."""
    rows = image[..., ::2, :] + image[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]) / 4
