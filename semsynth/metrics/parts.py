"""Motion of the parts of an image, by a segmenter."""

import torch
from torch import Tensor

from semsynth.images import to_uint8
from semsynth.metrics.segmenters import FrozenSegmenter
from semsynth.networks.motion.geometry import Motion, pixel_grid

MIN_AREA = 4.0  # pixels; smaller parts count as absent


class PartMotion(FrozenSegmenter):
    """Estimates motion by segmentation: each pixel moves with the centre of its part.

    It is independent of flow and of the generator, and so can measure methods that learn from
    either. Centre and expansion are those of the segmenter's probabilities. Parts that are absent
    from one of the images, and the background, are not valid.

    Args:
        name: See ``FrozenSegmenter``.
        background: Class that is not a part.
    """

    def __init__(self, name: str, background: int = 0) -> None:
        super().__init__(name)
        self.background = background

    @torch.no_grad()
    def forward(self, image_a: Tensor, image_b: Tensor) -> Motion:  # type: ignore[override]  # an estimator
        """Motion from images a to images b, both (B, 3, H, W) in [-1, 1]."""
        (area_a, centre_a), (area_b, centre_b) = (self.parts(image) for image in (image_a, image_b))
        classes = self.logits(to_uint8(image_a)).argmax(dim=1)  # (B, H, W)
        there = (area_a >= MIN_AREA) & (area_b >= MIN_AREA)
        there[:, self.background] = False
        log_expansion = 0.5 * (area_a / area_b).log()
        values = torch.cat(
            [centre_b - centre_a, log_expansion[..., None], there[..., None]], dim=-1
        )  # (B, K, 4)
        fields = values.gather(1, classes.flatten(1)[..., None].expand(-1, -1, 4))
        fields = fields.mT.unflatten(2, classes.shape[1:]).float()
        return Motion(fields[:, :2], fields[:, 2:3], fields[:, 3:] > 0.5)

    def parts(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Areas (B, K) in pixels and centres (B, K, 2), (x, y), of the classes in images."""
        share = self.logits(to_uint8(image)).softmax(dim=1).double()  # (B, K, H, W)
        area = share.sum(dim=(2, 3)).clamp(min=1e-6)
        H, W = image.shape[-2:]
        grid = pixel_grid(H, W, image.device).double()
        return area, torch.einsum("bkhw,chw->bkc", share, grid) / area[..., None]
