"""VGG-19 as a feature extractor (Simonyan and Zisserman, ICLR 2015).

Paper: https://arxiv.org/abs/1409.1556.
"""

from collections.abc import Mapping
from typing import Self

from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

_TAPS = (1, 6, 11, 20, 29)  # relu1_1, relu2_1, relu3_1, relu4_1, relu5_1


class VGG19Features(nn.Module):
    """Frozen activations relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1.

    Images in [-1, 1] are not normalised as in its training, as in SPADE and its descendants.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers: nn.Sequential = make_layers(cfgs["E"][:-4])  # up to relu5_1
        self.requires_grad_(False).eval()

    def load(self, state_dict: Mapping[str, Tensor]) -> Self:
        """Load the weights from the state dict of torchvision's ``vgg19``."""
        wanted = {key: f"features.{key}" for key in self.layers.state_dict()}
        missing = sorted(set(wanted.values()) - set(state_dict))
        if missing:
            raise ValueError(
                f"state_dict must be that of torchvision's vgg19, got one without {missing[0]}; "
                "download the ImageNet weights of torchvision."
            )
        self.layers.load_state_dict({key: state_dict[name] for key, name in wanted.items()})
        return self

    def features(self, image: Tensor) -> list[Tensor]:
        """Activations of images (B, 3, H, W) in [-1, 1], fine to coarse; nonnegative."""
        x, taps = image, []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i in _TAPS:
                taps.append(x)
        return taps

    def forward(self, image: Tensor) -> list[Tensor]:
        """Same as ``features``."""
        return self.features(image)
