"""Inception-v3 as the first FID in TensorFlow has it (Szegedy et al., CVPR 2016)."""

import io
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import BasicConv2d, FeatureExtractorInceptionV3


class Inception(FeatureExtractorInceptionV3):  # type: ignore[misc]  # no type stubs
    """torch-fidelity's network up to the pooled features: no classifier, weights from any source.

    Called, it takes uint8 images (B, 3, H, W), resizes them by TensorFlow 1's bilinear rule, and
    returns a tuple of the features (B, 2048). ``layers`` takes what is already resized.
    """

    def __init__(self) -> None:
        empty = io.BytesIO()  # the parent insists on reading a file
        torch.save({}, empty)
        empty.seek(0)
        super().__init__("inception", ["2048"], empty)
        del self.fc

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Take the weights of torch-fidelity's file, or a state dict of this network."""
        if not state_dict:  # the parent's constructor
            return None
        kept = {k: v for k, v in state_dict.items() if not k.startswith("fc.")}
        return super().load_state_dict(kept, strict=strict, assign=assign)

    def layers(self, images: Tensor) -> Tensor:
        """Features (B, 2048, 1, 1) of images (B, 3, 299, 299) in [-1, 1)."""
        for layer in self.children():
            images = layer(images)
        return images


def convolutions(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Names and blocks of its convolutions, each with a batch normalisation, in their order."""
    return [(name, m) for name, m in network.named_modules() if isinstance(m, BasicConv2d)]
