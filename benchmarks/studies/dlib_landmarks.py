"""Landmarks by dlib (Kazemi & Sullivan, CVPR 2014), a second opinion that shares no training data.

Needs ``pip install dlib-bin`` and ``shape_predictor_68_face_landmarks.dat``, which was trained on
300-W: for research only.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.transforms.functional import resize

from semsynth.images import to_uint8

ENLARGED = 256  # small images are enlarged to this size
FACE = (0.2, 0.31, 0.81, 0.92)  # left, top, right and bottom of an aligned face, of the size


class DlibDetector(nn.Module):
    """Finds landmarks of aligned faces, whose frame is known.

    Args:
        predictor: The file of the predictor.
    """

    def __init__(self, predictor: Path) -> None:
        super().__init__()
        self.dlib: Any = import_module("dlib")  # an optional package without types
        self.predict = self.dlib.shape_predictor(str(predictor))

    def forward(self, image: Tensor) -> Tensor:
        """Landmarks (B, 68, 2), (x, y) in pixels of images (B, 3, H, H) in [-1, 1]."""
        size = max(ENLARGED, image.shape[-1])
        large = to_uint8(resize(image, [size, size], antialias=True).clamp(-1, 1))
        frame = self.dlib.rectangle(*(round(size * share) for share in FACE))
        found = [
            [(part.x, part.y) for part in self.predict(pixels, frame).parts()]
            for pixels in large.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        ]
        points = torch.tensor(found, dtype=torch.float32, device=image.device)
        return (points + 0.5) * (image.shape[-1] / size) - 0.5
