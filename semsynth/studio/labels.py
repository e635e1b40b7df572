"""Label maps and classes between page and server."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semsynth.data.labels import LabelSpace
from semsynth.studio.answers import TabError


def labels_of(data: bytes, size: Sequence[int], space: LabelSpace) -> Tensor:
    """A label map (H, W), int64, from one byte per pixel, row by row."""
    height, width = size
    if len(data) != height * width:
        raise TabError(f"A label map has {height} x {width} pixels, got {len(data)} bytes.")
    mask = torch.from_numpy(np.frombuffer(data, np.uint8).astype(np.int64)).view(height, width)
    if int(mask.max()) >= space.num_classes:
        raise TabError(f"Labels are 0 to {space.num_classes - 1}, got {int(mask.max())}.")
    return mask


def bytes_of(mask: Tensor) -> str:
    """Base64 of a label map (H, W), one byte per pixel."""
    return base64.b64encode(mask.to(torch.uint8).cpu().contiguous().numpy().tobytes()).decode()


def classes_of_space(space: LabelSpace) -> list[dict[str, Any]]:
    """Names and colours for the page, and which class each becomes in the mirror."""
    mirror = space.flip_lookup().tolist()
    pairs = zip(space.names, space.palette, mirror[: space.num_classes], strict=True)
    return [
        {"name": name, "colour": "#{:02x}{:02x}{:02x}".format(*colour), "mirror": twin}
        for name, colour, twin in pairs
    ]
