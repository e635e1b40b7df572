"""Two bugs in the estimator's input of the released UserControllableLT, for parity."""

import torch
from torch import Tensor, nn

from semsynth.networks.motion.geometry import Motion


class UpstreamInput(nn.Module):
    """Feeds a motion network as UserControllableLT's released code does.

    Its ``expansion/submission.py`` maps the first image to [0, 1] and the second to [-0.5, 0.5],
    half of the range darker, and swaps RGB and BGR. (The network, of Yang & Ramanan, CVPR 2020, is
    not part of this package.)
    """

    def __init__(self, estimator: nn.Module) -> None:
        super().__init__()
        self.estimator = estimator

    @torch.no_grad()
    def forward(self, image_a: Tensor, image_b: Tensor) -> Motion:
        """Estimate the motion from ``image_a`` to ``image_b``, both (B, 3, H, W) in [-1, 1]."""
        return self.estimator(image_a.flip(1), image_b.flip(1) - 1)
