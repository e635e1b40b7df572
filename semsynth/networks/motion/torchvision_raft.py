"""torchvision's RAFT as an estimator of motion."""

from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models import optical_flow

from semsynth.networks.motion.geometry import Motion, both_ways, check_pair, motion_from_flow


class TorchvisionRAFT(nn.Module):
    """RAFT (Teed & Deng, ECCV 2020), and a local affine fit for the expansion.

    Args:
        size: The small network with 1.0 million parameters, or the large one with 5.3.
        num_updates: Updates of the flow.
    """

    def __init__(self, size: Literal["small", "large"] = "small", num_updates: int = 12) -> None:
        super().__init__()
        build = optical_flow.raft_small if size == "small" else optical_flow.raft_large
        self.network = build(weights=None, progress=False)
        self.num_updates = num_updates

    @torch.no_grad()
    def forward(self, image_a: Tensor, image_b: Tensor) -> Motion:
        """Motion between images (B, 3, H, W) in [-1, 1]; H and W multiples of 8, at least 128."""
        check_pair(image_a, image_b, 8, 128, "torchvision's RAFT")
        pair = both_ways(image_a, image_b)
        flow = self.network(*pair, num_flow_updates=self.num_updates)[-1]
        return motion_from_flow(*flow.chunk(2))
