"""Streets: buildings, trees, cars, persons and poles in perspective, at any time of day."""

from typing import ClassVar

import torch
from torch import Tensor

from semsynth.data.labels import LabelSpace
from semsynth.data.toy.drawing import Part
from semsynth.data.toy.scenery import SKY, street_parts
from semsynth.data.toy.world import Factors, LayoutRanges, Style, World

HOURS = (0.0, 0.15, 0.35, 0.6, 1.0)
TINTS = ((0.38, 0.42, 0.62), (0.55, 0.5, 0.62), (1.0, 0.76, 0.58), (1.0, 0.97, 0.92), (1.05,) * 3)
"""Night, twilight, sunset, afternoon and noon, at the hours above."""

SUNSET = (1.0, 0.58, 0.42)


class StreetWorld(World):
    """Streets with eight classes and instances, the toy analogue of Cityscapes."""

    label_space = LabelSpace(
        ("sky", "building", "vegetation", "road", "sidewalk", "car", "person", "pole"),
        (
            (70, 130, 180),
            (70, 70, 70),
            (107, 142, 35),
            (128, 64, 128),
            (244, 35, 232),
            (0, 0, 142),
            (220, 20, 60),
            (153, 153, 153),
        ),
    )
    layout_ranges: ClassVar[LayoutRanges] = {
        "horizon": (-0.12, 0.1),
        "vanishing": (-0.25, 0.25),
        "road": (0.6, 0.85),
        "sidewalk": (0.35, 0.6),
        "sun_x": (-0.7, 0.7),
        "sun_y": (-0.85, -0.5),
        "building_height": (0.7, 1.5, 6),
        "building_shift": (-0.1, 0.1, 6),
        "building_width": (0.13, 0.26, 6),
        "bushes": (-1.2, 0.8),
        "tree_shift": (-0.2, 0.2, 3),
        "tree_size": (0.45, 0.8, 3),
        "tree_shown": (0.0, 1.0, 3),
        "depth": (0.0, 1.0, 4),
        "car_side": (-1.0, 1.0, 4),
        "car_shown": (0.0, 1.0, 4),
        "person_side": (-1.0, 1.0, 4),
        "person_lateral": (0.2, 0.9, 4),
        "person_shown": (0.0, 1.0, 4),
        "pole_side": (-1.0, 1.0, 4),
        "pole_shown": (0.0, 1.0, 4),
    }
    styles = (
        Style((0.5, 0.64), (0.2, 0.75), (0.75, 1.0), (0.7, 1.6), (0.2, 0.6)),
        Style((-0.08, 0.16), (0.1, 0.75), (0.4, 0.95), (2.5, 5.0), (0.2, 0.6)),
        Style((0.1, 0.42), (0.45, 0.95), (0.3, 0.8), (2.5, 5.5), (0.3, 0.9)),
        Style((0.55, 0.75), (0.0, 0.2), (0.2, 0.5), (2.5, 5.5), (0.15, 0.4)),
        Style((0.0, 1.0), (0.05, 0.3), (0.55, 0.95), (2.5, 5.5), (0.2, 0.5)),
        Style((0.0, 1.0), (0.4, 1.0), (0.4, 1.0), (5.0, 9.0), (0.3, 0.8)),
        Style((0.0, 1.0), (0.5, 1.0), (0.4, 1.0), (6.0, 12.0), (0.4, 0.9)),
        Style((0.0, 1.0), (0.0, 0.7), (0.15, 0.9), (4.0, 8.0), (0.4, 0.9)),
    )

    def parts(self, layout: Factors) -> list[Part]:
        """The parts of a layout in drawing order; the first is the sky."""
        return street_parts(layout)

    def _atmosphere(self, base: Tensor, draw: Tensor) -> Factors:
        """A time of day: 0 is night, 1 is noon; the sunset sky has its own colour."""
        hours, tints = torch.tensor(HOURS), torch.tensor(TINTS)
        time = draw[:, :1]
        after = torch.searchsorted(hours, time[:, 0].contiguous()).clamp(min=1)
        weight = (time - hours[after - 1, None]) / (hours[after] - hours[after - 1])[:, None]
        tint = tints[after - 1].lerp(tints[after], weight)
        sunset = (1 - (time - 0.3).abs() / 0.15).clamp(min=0)
        sky = base[:, SKY].lerp(torch.tensor(SUNSET), sunset)
        return {"tint": tint, "base": torch.cat([sky[:, None], base[:, SKY + 1 :]], 1)}
