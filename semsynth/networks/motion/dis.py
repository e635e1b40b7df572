"""Motion estimation without weights: dense inverse search and a local affine fit."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.motion.geometry import Motion, both_ways, check_pair, motion_from_flow

LUMA = (0.299, 0.587, 0.114)
WORKING_SIZE = 256  # of the shorter side


class DISMotion:
    """Dense inverse search (Kroeger et al., ECCV 2016, https://arxiv.org/abs/1603.03590).

    OpenCV's implementation with its preset ``medium``. It matches patches of 8 pixels and skips the
    finest scale, so smaller images are enlarged to ``WORKING_SIZE`` first.
    """

    @torch.no_grad()
    def __call__(self, image_a: Tensor, image_b: Tensor) -> Motion:
        """Motion between images (B, 3, H, W) in [-1, 1], at least 16 pixels high and wide.

        The search runs on the CPU; the result is on the images' device.
        """
        check_pair(image_a, image_b, 1, 16, "DIS")
        size = image_a.shape[-2:]
        first, second = (self._grey(image) for image in both_ways(image_a, image_b))
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # cannot be pickled
        # OpenCV takes one pair at a time, and parallelises internally.
        pairs = zip(first, second, strict=True)
        found = np.stack([search.calc(a, b, None) for a, b in pairs])  # type: ignore[call-overload]  # takes None
        flow = torch.from_numpy(found).to(image_a.device).permute(0, 3, 1, 2)
        scale = [flow.shape[-1] / size[1], flow.shape[-2] / size[0]]
        flow = F.interpolate(flow, size=size, mode="area")
        flow = flow / torch.tensor(scale, device=flow.device).view(1, 2, 1, 1)
        return motion_from_flow(*flow.chunk(2))

    def _grey(self, image: Tensor) -> np.ndarray:
        """Brightness (B, H', W') in 0..255, enlarged to the working size."""
        luma = torch.tensor(LUMA, device=image.device).view(1, 3, 1, 1)
        grey = (image.float() * luma).sum(1, keepdim=True)
        factor = WORKING_SIZE / min(image.shape[-2:])
        if factor > 1:
            size = [round(side * factor) for side in image.shape[-2:]]
            grey = F.interpolate(grey, size=size, mode="bilinear", align_corners=False)
        levels = grey[:, 0].add(1).mul(127.5).round().clamp(0, 255)
        return levels.to(torch.uint8).cpu().numpy()
