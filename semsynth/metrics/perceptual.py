"""Perceptual distances: squared differences of frozen taps."""

import warnings
from abc import abstractmethod
from pathlib import Path
from typing import Any, Literal

import lpips
import torch
from lpips import pretrained_networks
from torch import Tensor, nn

from semsynth import weights
from semsynth.images import to_uint8
from semsynth.metrics.features import segmenter_file
from semsynth.metrics.frozen import Frozen, exact_float32, file_protocol
from semsynth.weights.conversion import read_pretrained

Trunk = Literal["alex", "vgg"]
Version = Literal["0.0", "0.1"]
TRUNKS: dict[str, Trunk] = {"alex": "alex", "vgg": "vgg"}
NETWORKS: dict[Trunk, str] = {"alex": "alexnet", "vgg": "vgg16"}  # their names in lpips and weights


class PerceptualTaps(Frozen):
    """Activations whose squared distances make a perceptual distance.

    The distance of two images is the squared difference of their taps, averaged over pixels and
    summed over channels and taps: LPIPS (Zhang et al., CVPR 2018), with its weights moved into the
    taps. Images are rounded to uint8 first, as on disk.

    Attributes:
        label: Suffix of its scores.
        file: The file of its weights.
    """

    label: str
    file: Path

    @abstractmethod
    def taps(self, image: Tensor) -> list[Tensor]:
        """Weighted taps of images (B, 3, H, W) in [-1, 1], float32."""

    def forward(self, image: Tensor) -> list[Tensor]:
        """Weighted taps (B, C, h, w), fine to coarse, of images (B, 3, H, W) in [-1, 1]."""
        with exact_float32(image.device):
            return self.taps(to_uint8(image) / 127.5 - 1)

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances (B,), float64, of images (B, 3, H, W) in [-1, 1]."""
        return tap_distance(self(a), self(b))

    def protocol(self) -> dict[str, Any]:
        """What the distance depends on besides the images."""
        return {"network": self.label, **file_protocol(self.file), "quantised": "uint8"}


class ToyTaps(PerceptualTaps):
    """Taps of a toy segmenter's encoder.

    Each tap is normalised to unit length per pixel and weighted by 1 / number of taps. Activations
    are nonnegative, so distances are in [0, 2].

    Args:
        name: A toy world, or the path of a segmenter (see ``weights.load_segmenter``).
    """

    label = "toy"

    def __init__(self, name: str) -> None:
        super().__init__()
        self.network = weights.load_segmenter(name)
        self.file = segmenter_file(name)

    def taps(self, image: Tensor) -> list[Tensor]:
        """Weighted taps of images (B, 3, H, W) in [-1, 1]."""
        taps = self.network.features(image)
        return [lpips.normalize_tensor(tap) / len(taps) ** 0.5 for tap in taps]


class LPIPSTaps(PerceptualTaps):
    """Taps of LPIPS.

    Args:
        trunk: Its network. LPIPS' authors use ``alex`` as a metric and ``vgg`` as a loss.
        version: ``0.1``, or ``0.0``, whose images lack their scaling, for old tables.
    """

    def __init__(self, trunk: Trunk, version: Version = "0.1") -> None:
        super().__init__()
        self.file = weights.find(
            NETWORKS[trunk],
            needed_for=f"LPIPS with features {trunk!r}",
            remedy="remove the metric from evaluation.metrics, or give it toy features",
        )
        self.label = f"lpips_{trunk}" + ("" if version == "0.1" else f"_v{version}")
        self.version = version
        with torch.device("meta"), warnings.catch_warnings():  # weights come below, not from here
            warnings.simplefilter("ignore", UserWarning)  # lpips calls torchvision the old way
            self.trunk = getattr(pretrained_networks, NETWORKS[trunk])(pretrained=False)
        state = read_pretrained(self.file)
        # lpips cuts torchvision's ``features`` into slices and keeps the layers' numbers
        keys = {k: f"features.{k.split('.', 1)[1]}" for k in self.trunk.state_dict()}
        self.trunk.load_state_dict({k: state[v] for k, v in keys.items()}, assign=True)
        self.trunk.eval().requires_grad_(False)
        self.scale = lpips.ScalingLayer() if version == "0.1" else nn.Identity()
        self.heads = [f"head_{i}" for i in range(self.trunk.N_slices)]
        file = Path(lpips.__file__).parent / "weights" / f"v{version}" / f"{trunk}.pth"
        weights_of_heads = torch.load(file, map_location="cpu", weights_only=True)  # (1, C, 1, 1)
        for i, name in enumerate(self.heads):
            self.register_buffer(name, weights_of_heads[f"lin{i}.model.1.weight"].sqrt())

    def taps(self, image: Tensor) -> list[Tensor]:
        """Weighted taps of images (B, 3, H, W) in [-1, 1]."""
        taps = self.trunk(self.scale(image))
        heads = [self.get_buffer(name) for name in self.heads]
        return [lpips.normalize_tensor(t) * w for t, w in zip(taps, heads, strict=True)]

    def protocol(self) -> dict[str, Any]:
        """What the distance depends on besides the images."""
        return {**super().protocol(), "version": self.version}


def tap_distance(taps_a: list[Tensor], taps_b: list[Tensor]) -> Tensor:
    """Squared differences of taps (B, C, h, w), averaged over pixels and summed: (B,), float64."""
    terms = [
        torch.linalg.vector_norm((a - b).flatten(1), dim=1, dtype=torch.float64).square()
        / (a.shape[-2] * a.shape[-1])
        for a, b in zip(taps_a, taps_b, strict=True)
    ]
    return torch.stack(terms).sum(dim=0)


def build_taps(name: str, version: Version = "0.1") -> PerceptualTaps:
    """The taps of a name: ``alex``, ``vgg``, a toy world, or a segmenter's path."""
    return LPIPSTaps(TRUNKS[name], version) if name in TRUNKS else ToyTaps(name)
