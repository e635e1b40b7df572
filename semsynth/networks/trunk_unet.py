"""A U-Net (Ronneberger et al., MICCAI 2015) whose encoder was trained on ImageNet."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.networks.unet import UNet, conv_block

Trunk = Literal["efficientnet-lite0"]
TIMM_NAMES: dict[Trunk, str] = {"efficientnet-lite0": "tf_efficientnet_lite0"}


class TrunkUNet(nn.Module):
    """Segmentation network on a trunk of timm, which sees the image at twice its size.

    The finest activations of the trunk, at half the size of its input, then have the size of the
    image, so thin classes survive. The weights are random until ``load_trunk`` is called.

    Args:
        num_classes: Classes of the output.
        channels: Channels of the decoder at full resolution; doubled at each halving of the
            resolution, up to eight times as many.
        trunk: Name of the trunk.
    """

    def __init__(self, num_classes: int, channels: int, trunk: Trunk) -> None:
        import timm  # here, because it takes long and few runs need it

        super().__init__()
        create: Callable[..., Any] = timm.create_model  # its attributes have no types
        self.trunk = create(TIMM_NAMES[trunk], features_only=True)
        taps = self.trunk.feature_info.channels()  # fine to coarse
        widths = [channels * 2 ** min(i, 3) for i in range(len(taps) - 1)]
        self.up = nn.ModuleList(
            conv_block(coarse + skip, width)
            for coarse, skip, width in zip(
                [taps[-1], *widths[:0:-1]], taps[-2::-1], widths[::-1], strict=True
            )
        )
        self.head = nn.Conv2d(channels, num_classes, 1)

    def load_trunk(self, state: Mapping[str, Tensor]) -> None:
        """Take the trunk's weights from those of the whole classifier."""
        self.trunk.load_state_dict({key: state[key] for key in self.trunk.state_dict()})

    def forward(self, image: Tensor) -> Tensor:
        """Class logits (B, num_classes, H, W) of images (B, 3, H, W) in [-1, 1]."""
        enlarged = F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
        *skips, x = self.trunk(enlarged.contiguous(memory_format=torch.channels_last))
        for block, skip in zip(self.up, reversed(skips), strict=True):
            x = F.interpolate(x, size=skip.shape[-2:], mode="nearest")
            x = block(torch.cat([x, skip], dim=1))
        return self.head(x)


def segmentation_network(
    num_classes: int, channels: int, depth: int, trunk: Trunk | None
) -> UNet | TrunkUNet:
    """The network of a ``Segmenter`` with these arguments."""
    if trunk is None:
        return UNet(num_classes, channels, depth)
    return TrunkUNet(num_classes, channels, trunk)
