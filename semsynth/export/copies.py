"""Detection of near copies of training images, by thumbnails."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

SIZE = 32


class NearestPhoto:
    """Finds the nearest training image (M, 3, H, W), uint8, of exported ones."""

    def __init__(self, images: Tensor, names: Sequence[str], device: torch.device) -> None:
        both = (images, images.flip(-1))  # a mirrored copy is a copy
        parts = [thumbnails(part.to(device)) for one in both for part in one.split(256)]
        self.photos = torch.cat(parts)
        self.names = list(names)

    def __call__(self, image: Tensor) -> tuple[Tensor, list[str]]:
        """RMS distances (B,) of 32x32 thumbnails in [0, 1] to the nearest photo, and its name."""
        pictures = thumbnails(image)
        distance = torch.cdist(pictures, self.photos) / pictures.shape[1] ** 0.5
        nearest, position = distance.min(1)
        return nearest, [self.names[i % len(self.names)] for i in position.tolist()]


def thumbnails(image: Tensor) -> Tensor:
    """Thumbnails (B, N) in [0, 1] of images (B, 3, H, W), uint8."""
    return F.interpolate(image.float() / 255, (SIZE, SIZE), mode="area").flatten(1)
