"""Portraits: a head that moves, turns and opens its mouth, with the flow between two poses."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from semsynth.data.labels import LabelSpace
from semsynth.data.toy.drawing import Part, frames, pixel_centres, topmost
from semsynth.data.toy.face import face_parts
from semsynth.data.toy.world import Factors, LayoutRanges, Style, World


class PoseFlow(NamedTuple):
    """Motion of each pixel from a source to a target image.

    Attributes:
        flow: Shift (x, y) in pixels from the source pixel to its place in the target (B, 2, H, W).
        log_expansion: Log of size in the source over size in the target (B, 1, H, W): negative
            where the content grows or comes closer, the sign of optical expansion (Yang &
            Ramanan, CVPR 2020).
        valid: True where the content of the source pixel is visible in the target (B, H, W).
    """

    flow: Tensor
    log_expansion: Tensor
    valid: Tensor


class PortraitWorld(World):
    """Faces with nine classes, the toy analogue of CelebAMask-HQ."""

    label_space = LabelSpace(
        ("background", "skin", "hair", "brow", "eye", "nose", "mouth", "neck", "cloth"),
        (
            (38, 44, 60),
            (247, 197, 159),
            (121, 78, 50),
            (64, 196, 124),
            (70, 150, 240),
            (250, 140, 66),
            (226, 62, 87),
            (201, 146, 180),
            (130, 100, 220),
        ),
    )
    pose_factors: ClassVar[tuple[str, ...]] = (
        "shift_x",
        "shift_y",
        "zoom",
        "yaw",
        "mouth_open",
        "hair_length",
    )
    """Factors that may differ between the two layouts of ``flow``; the others are identity."""
    layout_ranges: ClassVar[LayoutRanges] = {
        "shift_x": (-0.2, 0.2),
        "shift_y": (-0.14, 0.14),
        "zoom": (0.85, 1.2),
        "yaw": (-0.5, 0.5),
        "mouth_open": (0.0, 1.0),
        "hair_length": (0.0, 1.0),
        "face_width": (0.9, 1.12),
        "face_height": (0.92, 1.08),
        "eye_angle": (0.42, 0.52),
        "eye_size": (0.9, 1.2),
        "brow_height": (0.17, 0.21),
        "nose_size": (0.9, 1.2),
        "mouth_width": (0.85, 1.25),
        "hair_volume": (1.0, 1.15),
        "hairline": (-0.06, 0.04),
        "parting": (-0.2, 0.2),
        "shoulders": (0.85, 1.2),
    }
    styles = (
        Style((0.0, 1.0), (0.1, 0.6), (0.45, 1.0), (1.0, 3.0)),
        Style((0.02, 0.1), (0.25, 0.65), (0.5, 1.0), (2.5, 5.0), (0.25, 0.6)),
        Style((0.0, 1.0), (0.3, 0.95), (0.12, 0.9), (2.5, 5.5)),
        Style((0.0, 0.12), (0.2, 0.9), (0.05, 0.4), (3.5, 5.5), (0.3, 0.8)),
        Style((0.0, 1.0), (0.5, 1.0), (0.4, 0.95), (4.0, 6.0), (0.3, 0.6)),
        Style((-0.05, 0.12), (0.35, 0.85), (0.5, 1.0), (3.5, 5.5)),
        Style((-0.2, 0.04), (0.5, 1.0), (0.45, 0.95), (3.5, 5.5)),
        Style((0.0, 0.12), (0.25, 0.75), (0.4, 0.9), (3.0, 5.0), (0.3, 0.8)),
        Style((0.0, 1.0), (0.2, 1.0), (0.3, 1.0), (2.0, 5.0)),
    )

    def flow(self, source_layout: Factors, target_layout: Factors, image_size: int) -> PoseFlow:
        """Motion of each pixel between two poses, which differ in ``pose_factors`` alone."""
        x, y = pixel_centres(image_size)
        source, target = self.parts(source_layout), self.parts(target_layout)
        seen = topmost(source, x, y)
        sample = torch.arange(len(seen)).view(-1, 1, 1)
        old_centre, old_scale = (frame[sample, seen] for frame in frames(source))  # (B, H, W, 2)
        new_centre, new_scale = (frame[sample, seen] for frame in frames(target))
        point = torch.stack([x.expand(1, image_size, -1), y.expand(1, -1, image_size)], -1)
        moved = new_centre + (point - old_centre) * new_scale / old_scale
        inside = (moved.abs() < 1).all(-1)
        valid = inside & (topmost(target, moved[..., 0], moved[..., 1]) == seen)
        flow = (moved - point).permute(0, 3, 1, 2) * image_size / 2
        log_expansion = 0.5 * (old_scale / new_scale).log().sum(-1)
        return PoseFlow(flow, log_expansion[:, None], valid)

    def parts(self, layout: Factors) -> list[Part]:
        """The parts of a layout in drawing order; the first, the background, never moves."""
        return face_parts(layout)

    def _atmosphere(self, base: Tensor, draw: Tensor) -> Factors:
        """Light from dim to bright, and from cool to warm."""
        warm = 0.3 * draw[:, :1] - 0.15
        gain = torch.cat([1 + warm, torch.ones_like(warm), 1 - warm], 1)
        return {"tint": gain * (0.7 + 0.4 * draw[:, 1:])}
