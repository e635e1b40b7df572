"""VGG as a feature extractor (Simonyan and Zisserman, ICLR 2015).

Paper: https://arxiv.org/abs/1409.1556.
"""

from collections.abc import Mapping
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

VGG = Literal["vgg16", "vgg19"]
_CONFIGURATIONS: dict[VGG, str] = {"vgg16": "D", "vgg19": "E"}
_TAPS: dict[VGG, tuple[int, ...]] = {"vgg16": (1, 6, 11, 18, 25), "vgg19": (1, 6, 11, 20, 29)}
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB in [0, 1]


class VGGFeatures(nn.Module):
    """Frozen activations relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1.

    VGG-19 sees images in [-1, 1] as they are, not normalised as in its training: so do SPADE and
    its descendants. VGG-16 sees them normalised.

    Args:
        name: Network as torchvision calls it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: VGG = "vgg19") -> None:
        super().__init__()
        self.name, self.taps = name, _TAPS[name]
        layers = make_layers(cfgs[_CONFIGURATIONS[name]])
        self.layers: nn.Sequential = layers[: self.taps[-1] + 1]  # up to relu5_1
        normalised = name == "vgg16"
        mean = torch.tensor(_IMAGENET_MEAN) * 2 - 1 if normalised else torch.zeros(3)
        std = torch.tensor(_IMAGENET_STD) * 2 if normalised else torch.ones(3)
        self.register_buffer("mean", mean[:, None, None], persistent=False)
        self.register_buffer("std", std[:, None, None], persistent=False)
        self.requires_grad_(False).eval()

    def load(self, state_dict: Mapping[str, Tensor]) -> Self:
        """Load the weights from the state dict of torchvision's network of this name."""
        wanted = {key: f"features.{key}" for key in self.layers.state_dict()}
        missing = sorted(set(wanted.values()) - set(state_dict))
        if missing:
            raise ValueError(
                f"state_dict must be that of torchvision's {self.name}, got one without "
                f"{missing[0]}; download the ImageNet weights of torchvision."
            )
        self.layers.load_state_dict({key: state_dict[name] for key, name in wanted.items()})
        return self

    def features(self, image: Tensor) -> list[Tensor]:
        """Activations of images (B, 3, H, W) in [-1, 1], fine to coarse; nonnegative."""
        x, taps = (image - self.mean) / self.std, []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i in self.taps:
                taps.append(x)
        return taps

    def forward(self, image: Tensor) -> list[Tensor]:
        """Same as ``features``."""
        return self.features(image)
