"""Segmentation discriminator on a frozen backbone.

After Berrada et al., "Unlocking Pre-trained Image Backbones for Semantic Image Synthesis", CVPR
2024, https://arxiv.org/abs/2312.13314 (DP-SIMS), and Sauer et al., "Projected GANs Converge
Faster", NeurIPS 2021.
"""

from itertools import pairwise
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.networks.clvae.spade import LEAK
from semsynth.networks.clvae.spectral import spectral_conv
from semsynth.networks.rivals.segmentation_discriminator import PreactivatedBlock


class Conditioning(nn.Module):
    """Bring the features of a stage to one scale, and mix their channels.

    A few channels of a network that was trained to classify are far larger than the others. The
    sigmoid bounds them, and each pixel is normalised over its channels.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.mix = spectral_conv(in_channels, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Condition features (B, in_channels, H, W)."""
        bounded = features.float().sigmoid()
        variance, mean = torch.var_mean(bounded, dim=1, keepdim=True, correction=0)
        return self.mix((bounded - mean) * (variance + 1e-5).rsqrt())


class BackboneDiscriminator(nn.Module):
    """U-Net that gives each pixel one of C classes, or the one after them: fake.

    Args:
        num_classes: Number of classes C.
        backbone: The encoder, which stays as it is: a network with ``features`` and
            ``feature_channels``, fine to coarse.
        channels: Channels of the decoder at the finest stage; doubled at each coarser one, up to
            four times as many.
    """

    def __init__(self, num_classes: int, backbone: nn.Module, channels: int = 64) -> None:
        super().__init__()
        backbone.eval().requires_grad_(False)
        self.backbone: Any = backbone
        taps: Any = backbone.feature_channels
        widths = [channels * min(2**i, 4) for i in range(len(taps))]
        self.stages = nn.ModuleList(Conditioning(a, b) for a, b in zip(taps, widths, strict=True))
        self.up = nn.ModuleList([PreactivatedBlock(widths[-1], widths[-1])])  # coarse to fine
        for skip, below in reversed([*pairwise(widths)]):
            self.up.append(PreactivatedBlock(below + skip, skip))
        self.last = nn.Conv2d(channels, num_classes + 1, 1)

    def train(self, mode: bool = True) -> Self:
        """Change the mode of all but the backbone."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, C + 1, H, W) of images (B, 3, H, W) in [-1, 1]."""
        features = self.backbone.features(image)
        *skips, x = [stage(f) for stage, f in zip(self.stages, features, strict=True)]
        x = self.up[0](x)
        for block, skip in zip(self.up[1:], reversed(skips), strict=True):
            x = F.interpolate(x, size=skip.shape[-2:], mode="nearest")
            x = block(torch.cat([x, skip], dim=1))
        logits = self.last(F.leaky_relu(x, LEAK))
        return F.interpolate(logits, size=image.shape[-2:], mode="nearest")
