"""Frozen networks that metrics look through: pooled features, and taps for perceptual distances."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Self

import lpips
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth import weights

FeatureName = Literal["toy_street", "toy_portrait", "inception"]
TapsName = Literal["toy_street", "toy_portrait", "alex", "vgg"]


@contextmanager
def exact_float32(device: torch.device) -> Iterator[None]:
    """No gradients, no autocast, no TF32: a score must not depend on how the model is trained."""
    convolution = torch.backends.cudnn.conv  # type: ignore[attr-defined]  # made at run time
    precision = convolution.fp32_precision
    convolution.fp32_precision = "ieee"
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        convolution.fp32_precision = precision


class Frozen(nn.Module):
    """A network that stays in eval mode, whatever the model around it does."""

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode."""
        return super().train(False)


class FeatureExtractor(Frozen):
    """Pooled features: ``forward`` takes uint8 (B, 3, H, W) and returns float32 (B, dim)."""

    name: str
    dim: int


class ToyFeatures(FeatureExtractor):
    """Spatial means of a toy segmenter's encoder, all scales concatenated.

    Args:
        name: A toy world, or the path of a segmenter (see ``weights.load_segmenter``).
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.network = weights.load_segmenter(name)
        self.name = name
        self.dim = sum(self.network.feature_channels)

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, dim) of uint8 images (B, 3, H, W)."""
        with exact_float32(images.device):
            taps = self.network.features(images.float() / 127.5 - 1)
            return torch.cat([tap.mean(dim=(2, 3)) for tap in taps], dim=1)


class InceptionFeatures(FeatureExtractor):
    """Inception features exactly as clean-fid takes them (Parmar et al., CVPR 2022).

    The network is NVIDIA's TorchScript copy of the original one; the image is resized on the
    device instead of with PIL, which changes it by less than 0.01 of 255.
    """

    name = "inception"
    dim = 2048

    def __init__(self) -> None:
        super().__init__()
        path = weights.find(
            "inception",
            needed_for="The Fréchet distance with extractor 'inception' (FID)",
            remedy="take FrechetDistance out of the metrics, or give it a toy extractor",
        )
        self.network = torch.jit.load(path, map_location="cpu").eval()
        for parameter in self.network.parameters():  # TorchScript has no Module.requires_grad_
            parameter.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, 2048) of uint8 images (B, 3, H, W)."""
        with exact_float32(images.device):
            return self.network.layers((resize_for_inception(images) - 128) / 128).flatten(1)


def resize_for_inception(images: Tensor) -> Tensor:
    """Resize uint8 images (B, 3, H, W) to float32 (B, 3, 299, 299) in [0, 255], as clean-fid."""
    size = (299, 299)
    return F.interpolate(images.float(), size, mode="bicubic", antialias=True).clamp(0, 255)


def build_features(name: FeatureName) -> FeatureExtractor:
    """The extractor of pooled features that is called ``name``."""
    return InceptionFeatures() if name == "inception" else ToyFeatures(name)


class PerceptualTaps(Frozen):
    """Activations whose squared distances make a perceptual distance.

    ``forward`` takes images (B, 3, H, W) in [-1, 1] and returns taps (B, C, h, w). The distance of
    two images is the squared difference of their taps, averaged over pixels and summed over
    channels and taps: LPIPS (Zhang et al., CVPR 2018), with its weights moved into the taps.
    """


class ToyTaps(PerceptualTaps):
    """Taps of a toy segmenter's encoder.

    Each tap is normalised to unit length per pixel and has the weight 1 / number of taps for every
    channel. Activations are not negative, so that distances lie in [0, 2].

    Args:
        name: A toy world, or the path of a segmenter (see ``weights.load_segmenter``).
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.network = weights.load_segmenter(name)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Weighted taps, fine to coarse, of images (B, 3, H, W) in [-1, 1]."""
        with exact_float32(image.device):
            taps = self.network.features(image.float())
            return [lpips.normalize_tensor(tap) / len(taps) ** 0.5 for tap in taps]


class LPIPSTaps(PerceptualTaps):
    """Taps of LPIPS, version 0.1.

    Args:
        name: The trunk. LPIPS' authors take ``alex`` as a metric and ``vgg`` as a loss.
    """

    def __init__(self, name: Literal["alex", "vgg"]) -> None:
        super().__init__()
        path = weights.find(
            {"alex": "alexnet", "vgg": "vgg16"}[name],
            needed_for=f"Diversity with features {name!r} (LPIPS)",
            remedy="take Diversity out of the metrics, or give it toy features",
        )
        network = random_lpips(name)
        trunk = torch.load(path, map_location="cpu", weights_only=True)
        # lpips cuts torchvision's ``features`` into slices and keeps the layers' numbers
        keys = {k: f"features.{k.split('.', 1)[1]}" for k in network.net.state_dict()}
        network.net.load_state_dict({k: trunk[source] for k, source in keys.items()})
        self.network = network.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Weighted taps, fine to coarse, of images (B, 3, H, W) in [-1, 1]."""
        with exact_float32(image.device):
            taps = self.network.net(self.network.scaling_layer(image.float()))
            heads = [head.model[-1].weight.sqrt() for head in self.network.lins]  # (1, C, 1, 1)
            return [lpips.normalize_tensor(t) * w for t, w in zip(taps, heads, strict=True)]


def random_lpips(name: Literal["alex", "vgg"]) -> lpips.LPIPS:
    """LPIPS v0.1 with its linear heads and a random trunk, so that nothing is downloaded.

    The random numbers of the run that measures stay where they were.
    """
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # lpips calls torchvision the old way
        return lpips.LPIPS(net=name, version="0.1", pnet_rand=True, verbose=False)


def build_taps(name: TapsName) -> PerceptualTaps:
    """The taps that are called ``name``."""
    return LPIPSTaps(name) if name == "alex" or name == "vgg" else ToyTaps(name)
