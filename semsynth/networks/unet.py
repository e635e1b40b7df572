"""A small U-Net (Ronneberger et al., MICCAI 2015, https://arxiv.org/abs/1505.04597)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_block(in_channels: int, out_channels: int) -> nn.Sequential:
    """Two 3x3 convolutions, each with batch normalisation and ReLU; the size is kept."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    """Segmentation network whose encoder also serves as a feature extractor.

    Args:
        num_classes: Classes of the output.
        channels: Channels at full resolution; doubled at each halving of the resolution.
        depth: Number of scales, the full resolution included.
    """

    def __init__(self, num_classes: int, channels: int = 24, depth: int = 3) -> None:
        super().__init__()
        widths = [channels * 2**i for i in range(depth)]
        self.down = nn.ModuleList(
            conv_block(a, b) for a, b in zip([3, *widths[:-1]], widths, strict=True)
        )
        self.up = nn.ModuleList(
            conv_block(a + b, b) for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(channels, num_classes, 1)
        self.feature_channels = tuple(widths)

    def features(self, image: Tensor) -> list[Tensor]:
        """Encoder activations (B, channels * 2^i, ceil(H / 2^i), ceil(W / 2^i)), fine to coarse."""
        x, taps = image, []
        for i, block in enumerate(self.down):
            x = block(F.avg_pool2d(x, 2, ceil_mode=True) if i else x)
            taps.append(x)
        return taps

    def forward(self, image: Tensor) -> Tensor:
        """Class logits (B, num_classes, H, W) of images (B, 3, H, W) in [-1, 1]."""
        *skips, x = self.features(image)
        for block, skip in zip(self.up, reversed(skips), strict=True):
            x = F.interpolate(x, size=skip.shape[-2:], mode="nearest")
            x = block(torch.cat([x, skip], dim=1))
        return self.head(x)
