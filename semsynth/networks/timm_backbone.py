"""Networks of timm as extractors of features of several stages."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TimmBackbone(nn.Module):
    """Features of a timm network, which sees the images at twice their size.

    The finest features of most networks, at half the size of the input, then have the size of the
    images. The weights are random until ``load`` is called.

    Args:
        model: Its name in timm.

    Attributes:
        feature_channels: Channels of the stages, fine to coarse.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: str) -> None:
        super().__init__()
        self.model = model
        self.network = create(model)
        self.feature_channels: tuple[int, ...] = tuple(self.network.feature_info.channels())
        config: dict[str, Any] = self.network.default_cfg
        for name in ("mean", "std"):  # of RGB in [0, 1]
            self.register_buffer(name, torch.tensor(config[name])[:, None, None], persistent=False)

    def load(self, file: str) -> None:
        """Take the weights of the whole classifier from a file."""
        network = create(self.model, pretrained=True, pretrained_cfg_overlay={"file": file})
        self.network.load_state_dict(network.state_dict())

    def features(self, image: Tensor) -> list[Tensor]:
        """Activations of images (B, 3, H, W) in [-1, 1], fine to coarse."""
        enlarged = F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
        inputs = ((enlarged + 1) / 2 - self.mean) / self.std
        return list(self.network(inputs.contiguous(memory_format=torch.channels_last)))


def create(model: str, **options: Any) -> Any:
    """A network of timm whose output are the features of its stages."""
    import timm  # here, because it takes long and few runs need it

    untyped: Callable[..., Any] = timm.create_model
    with torch.random.fork_rng(devices=[]):
        return untyped(model, features_only=True, **options)
