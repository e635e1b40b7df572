"""Pooled features of images, by the name of their extractor."""

import re
from abc import abstractmethod
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from semsynth import weights
from semsynth.images import to_uint8
from semsynth.metrics.frozen import Frozen, exact_float32, file_protocol
from semsynth.weights.cards import read_network
from semsynth.weights.conversion import read_pretrained
from semsynth.weights.hub import find_timm

ALIASES = {
    "inception": "inception-clean",
    "dinov2": "timm:vit_large_patch14_dinov2.lvd142m@224",  # as Stein et al., NeurIPS 2023
}
NAMES = "inception-clean, inception-fid, dinov2, timm:MODEL, toy_street, toy_portrait or a path"


class FeatureExtractor(Frozen):
    """A network that turns images into vectors.

    Attributes:
        name: Its full name.
        label: Suffix of its scores.
        dim: Length of the features.
        file: The file of its weights.
        input_size: Height and width that images are resized to, or None without resizing.
        resize: The resampling filter.
    """

    name: str
    label: str
    dim: int
    file: Path
    input_size: tuple[int, int] | None = None
    resize: str = "none"

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Features (B, dim), float32, of uint8 images (B, 3, H, W)."""

    def features_of(self, image: Tensor) -> Tensor:
        """Features (B, dim), float32, of images (B, 3, H, W) in [-1, 1].

        Images are rounded to uint8 first, as on disk. Features are cached for the lifetime of the
        images, so metrics that share an extractor compute them once.
        """
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"Images must have shape (B, 3, H, W), got {tuple(image.shape)}.")
        version = 0 if image.is_inference() else image._version  # changes with the image
        known = _KNOWN.setdefault(image, {})
        key = (self.name, self.file, version)
        if key not in known:
            empty = torch.empty(0, self.dim, device=image.device)
            known[key] = self(to_uint8(image)) if len(image) else empty
        return known[key]

    def protocol(self) -> dict[str, Any]:
        """What the features depend on besides the images."""
        return {
            "extractor": self.name,
            **file_protocol(self.file),
            "input_size": self.input_size and list(self.input_size),
            "resize": self.resize,
            "quantised": "uint8",
        }


_KNOWN: WeakTensorKeyDictionary = WeakTensorKeyDictionary()  # image -> features by extractor
_BUILT: WeakValueDictionary[tuple[str, Path], FeatureExtractor] = WeakValueDictionary()


class InceptionClean(FeatureExtractor):
    """Inception features exactly as in clean-fid (Parmar et al., CVPR 2022).

    The network is NVIDIA's TorchScript copy of the original one, or ``Inception`` from a package,
    which agrees with it. The image is resized on the device instead of with PIL, which
    changes it by less than 0.01 of 255.
    """

    name = "inception-clean"
    label = "inception"
    dim = 2048
    input_size = (299, 299)
    resize = "bicubic, antialias, clamped, not rounded"

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self.network: Any = _packaged_inception(file) or torch.jit.load(file, map_location="cpu")
        self.network.eval()
        for parameter in self.network.parameters():  # TorchScript has no Module.requires_grad_
            parameter.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, 2048) of uint8 images (B, 3, H, W)."""
        with exact_float32(images.device):
            images = resize_bicubic(images, self.input_size)
            return self.network.layers((images - 128) / 128).flatten(1)


class InceptionFID(FeatureExtractor):
    """Inception features of torch-fidelity, which are those of the original FID in TensorFlow.

    The network resizes as TensorFlow 1's bilinear, without antialiasing.
    """

    name = "inception-fid"
    label = "inception_legacy"
    dim = 2048
    input_size = (299, 299)
    resize = "bilinear of TensorFlow 1, no antialias"

    def __init__(self, file: Path) -> None:
        from semsynth.networks.inception import Inception  # here, as torch-fidelity takes long

        super().__init__()
        self.file = file
        with torch.device("meta"):
            self.network = Inception()
        self.network.load_state_dict(read_pretrained(file), assign=True)
        self.network.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, 2048) of uint8 images (B, 3, H, W)."""
        with exact_float32(images.device):
            (features,) = self.network(images)
            return features


class TimmFeatures(FeatureExtractor):
    """Features of a timm model without its classifier, as DINOv2 (Oquab et al., TMLR 2024).

    Images are resized to the model's input size as in clean-fid, and normalised.

    Args:
        model: Name of a model with pretrained weights; optionally, for a vision transformer, ``@``
            and an input size.
        label: Suffix of the scores.
        file: The file of its weights.
    """

    resize = "bicubic, antialias, clamped, not rounded"
    mean: Tensor
    std: Tensor

    def __init__(self, model: str, label: str, file: Path) -> None:
        import timm  # here, because it is slow and few runs need it

        super().__init__()
        name, _, size = model.partition("@")
        options: dict[str, Any] = {"img_size": int(size)} if size else {}
        with torch.random.fork_rng(devices=[]):
            self.network = timm.create_model(
                name,
                pretrained=True,
                pretrained_cfg_overlay={"file": str(file)},
                num_classes=0,
                **options,
            )
        self.network.eval().requires_grad_(False)
        self.name, self.label, self.file = f"timm:{model}", label, file
        config: dict[str, Any] = self.network.pretrained_cfg  # type: ignore[assignment]  # timm's
        self.dim = int(self.network.num_features)  # type: ignore[arg-type]  # a number in timm
        self.input_size = (int(size), int(size)) if size else tuple(config["input_size"][1:])
        self.register_buffer("mean", torch.tensor(config["mean"]).view(3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(config["std"]).view(3, 1, 1) * 255)

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, dim) of uint8 images (B, 3, H, W)."""
        assert self.input_size is not None
        with exact_float32(images.device):
            images = resize_bicubic(images, self.input_size)
            return self.network((images - self.mean) / self.std)


class ToyFeatures(FeatureExtractor):
    """Spatial means of a toy segmenter's encoder, all scales concatenated.

    Args:
        name: A toy world, or the path of a segmenter (see ``weights.load_segmenter``).
    """

    label = "toy"

    def __init__(self, name: str) -> None:
        super().__init__()
        self.network = weights.load_segmenter(name)
        self.name = name
        self.file = segmenter_file(name)
        self.dim = sum(self.network.feature_channels)

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, dim) of uint8 images (B, 3, H, W)."""
        with exact_float32(images.device):
            taps = self.network.features(images.float() / 127.5 - 1)
            return torch.cat([tap.mean(dim=(2, 3)) for tap in taps], dim=1)


def _packaged_inception(file: Path) -> nn.Module | None:
    """The network of a file from a package; None for the official TorchScript."""
    if file.suffix != ".safetensors":
        return None
    from semsynth.networks.inception import Inception  # here, as torch-fidelity takes long

    return read_network(file, Inception, {})


def resize_bicubic(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize uint8 images (B, 3, H, W) to float32 (B, 3, *size) in [0, 255], as in clean-fid."""
    return F.interpolate(images.float(), size, mode="bicubic", antialias=True).clamp(0, 255)


def segmenter_file(name: str) -> Path:
    """File of a shipped segmenter, or the path ``name``."""
    shipped = weights.ASSETS / f"{name}_segmenter.safetensors"
    return shipped if shipped.is_file() else Path(name)


def build_features(name: str) -> FeatureExtractor:
    """The extractor of a name; metrics with the same one share it.

    Args:
        name: ``inception-clean`` (or ``inception``), ``inception-fid``, ``dinov2``,
            ``timm:MODEL``, ``toy_street``, ``toy_portrait``, or the path of a toy segmenter.
    """
    full_name = ALIASES.get(name, name)
    needed_for = f"The distance between features of {name!r}"
    remedy = "remove the metric from evaluation.metrics, or give it a toy extractor"
    if full_name == "inception-clean":
        file = weights.find("inception", needed_for, remedy)
        build: Any = partial(InceptionClean, file)
    elif full_name == "inception-fid":
        file = weights.find("inception-fid", needed_for, remedy)
        build = partial(InceptionFID, file)
    elif full_name.startswith("timm:"):
        model = full_name.removeprefix("timm:")
        choices = f"Extractors are {NAMES}."
        file = find_timm(model.partition("@")[0], needed_for, remedy, choices)
        label = re.sub(r"\W+", "_", name.removeprefix("timm:"))
        build = partial(TimmFeatures, model, label, file)
    else:
        file = segmenter_file(name)
        build = partial(ToyFeatures, name)
    key = (full_name, file)
    extractor = _BUILT.get(key) or build()
    _BUILT[key] = extractor
    return extractor
