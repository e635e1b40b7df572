"""Patch discriminators at several scales (Wang et al., CVPR 2018).

Paper: https://arxiv.org/abs/1711.11585; with spectral normalisation as in SPADE.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from semsynth.networks.clvae.spade import LEAK

Output = tuple[list[Tensor], Tensor]  # features of each layer, logits


class PatchDiscriminator(nn.Module):
    """Classify overlapping patches of images under their layouts.

    Args:
        in_channels: Channels of layout and image together.
        channels: Channels of the first layer; doubled by each layer up to 512.
        num_layers: Layers before the logits.
    """

    def __init__(self, in_channels: int, channels: int = 64, num_layers: int = 4) -> None:
        super().__init__()
        widths = [min(channels * 2**i, max(channels, 512)) for i in range(num_layers)]
        strides = [2] * (num_layers - 2) + [1]
        self.first = nn.Conv2d(in_channels, channels, 4, stride=2, padding=2)
        self.layers = nn.ModuleList(
            nn.Sequential(
                spectral_norm(nn.Conv2d(a, b, 4, stride, padding=2, bias=False), eps=1e-12),
                nn.InstanceNorm2d(b),
                nn.LeakyReLU(LEAK),
            )
            for a, b, stride in zip(widths[:-1], widths[1:], strides, strict=True)
        )
        self.last = nn.Conv2d(widths[-1], 1, 4, padding=2)

    def forward(self, layout: Tensor, image: Tensor) -> Output:
        """Activations of each layer, and logits (R * B, 1, h, w).

        The images (R * B, 3, H, W) are R stacked batches that share the layouts (B, C, H, W).
        """
        features = [F.leaky_relu(self.convolve_first(layout, image), LEAK)]
        for layer in self.layers:
            features.append(layer(features[-1]))
        return features, self.last(features[-1])

    def convolve_first(self, layout: Tensor, image: Tensor) -> Tensor:
        """Convolve cat([layout, image]) in two parts, the layout only once for R batches."""
        channels = [layout.shape[1], image.shape[1]]
        of_layout, of_image = torch.split(self.first.weight, channels, dim=1)
        x = F.conv2d(image, of_image, self.first.bias, stride=2, padding=2)
        shared = F.conv2d(layout, of_layout, stride=2, padding=2)
        return (torch.unflatten(x, 0, (-1, len(layout))) + shared).flatten(0, 1)


class MultiscaleDiscriminator(nn.Module):
    """Patch discriminators on images and on their halved copies."""

    def __init__(self, in_channels: int, channels: int = 64) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(in_channels, channels) for _ in range(2))

    def forward(self, layout: Tensor, image: Tensor) -> list[Output]:
        """Outputs for images (R * B, 3, H, W), layouts (B, C, H, W) at each scale, fine first."""
        outputs = []
        for i, discriminator in enumerate(self.scales):
            if i:
                layout, image = halve(layout), halve(image)
            outputs.append(discriminator(layout, image))
        return outputs


def halve(x: Tensor) -> Tensor:
    """3x3 average pooling with stride 2; padding is excluded from the mean."""
    return F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)


def halves(outputs: list[Output]) -> tuple[list[Output], list[Output]]:
    """Split the outputs of two stacked batches, for example of fake and real images."""

    def half(i: int) -> list[Output]:
        return [([f.chunk(2)[i] for f in features], x.chunk(2)[i]) for features, x in outputs]

    return half(0), half(1)
