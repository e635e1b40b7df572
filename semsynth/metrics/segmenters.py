"""Segmentation networks for layout fidelity, by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth import weights
from semsynth.metrics.features import segmenter_file
from semsynth.metrics.frozen import Frozen, exact_float32, file_protocol
from semsynth.networks.trunk_unet import segmentation_network
from semsynth.weights.hub import find_network

MINUS_ONE_TO_ONE = (0.5, 0.5, 0.5)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
REMEDY = "remove LayoutFidelity from evaluation.metrics, or give it a toy segmenter"


@dataclass(frozen=True)
class Loaded:
    """A network, its weights' file, and the mean and deviation of its inputs in [0, 1]."""

    network: nn.Module
    num_classes: int
    file: Path
    mean: Sequence[float] = MINUS_ONE_TO_ONE
    std: Sequence[float] = MINUS_ONE_TO_ONE


class FrozenSegmenter(Frozen):
    """A frozen segmentation network: images in, classes out.

    Args:
        name: ``toy_street``, ``toy_portrait``, a safetensors file with its card, a ``.ckpt`` of the
            method ``Segmenter``, ``torchscript:FILE``, ``smp:NAME`` (segmentation-models-pytorch)
            or ``hf:NAME`` (transformers), where NAME is a folder or a repository of the hub.
        input_size: Height and width that images are resized to, bicubic with antialias; by default
            theirs.
        scales: Factors of that size whose logits are summed.
        flip: Add the logits of the mirrored image.
        mean: Mean of the inputs in [0, 1]; by default that of the network's files.
        std: Their standard deviation, likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        input_size: tuple[int, int] | None = None,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        kind, _, rest = name.partition(":")
        loaded = LOADERS[kind](rest) if rest and kind in LOADERS else _load_ours(name)
        self.name, self.file, self.num_classes = name, loaded.file, loaded.num_classes
        self.network = loaded.network.eval()
        for parameter in self.network.parameters():  # TorchScript has no Module.requires_grad_
            parameter.requires_grad_(False)
        self.input_size, self.scales, self.flip = input_size, tuple(scales), flip
        for part, values in (("mean", mean or loaded.mean), ("std", std or loaded.std)):
            self.register_buffer(part, torch.tensor(values).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Classes (B, H, W) of uint8 images (B, 3, H, W)."""
        return self.logits(images).argmax(dim=1)

    def logits(self, images: Tensor) -> Tensor:
        """Logits (B, num_classes, H, W) of uint8 images (B, 3, H, W), summed over the scales."""
        H, W = images.shape[-2:]
        height, width = self.input_size or (H, W)
        with exact_float32(images.device):
            sizes = [(round(height * scale), round(width * scale)) for scale in self.scales]
            return torch.stack([self._logits(images, size) for size in sizes]).sum(0)

    def protocol(self) -> dict[str, Any]:
        """What the classes depend on besides the images."""
        return {
            "segmenter": self.name,
            **file_protocol(self.file),
            "input_size": self.input_size and list(self.input_size),
            "scales": list(self.scales),
            "flip": self.flip,
            "mean": self.mean.flatten().tolist(),
            "std": self.std.flatten().tolist(),
            "quantised": "uint8",
        }

    def _logits(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits (B, num_classes, H, W) of images seen at a size."""
        own_size = images.shape[-2:]
        seen = images.float()
        if size != own_size:
            seen = F.interpolate(seen, size, mode="bicubic", antialias=True).clamp(0, 255)
        seen = (seen / 255 - self.mean) / self.std
        logits = self.network(seen)
        if self.flip:
            logits = logits + self.network(seen.flip(3)).flip(3)
        if logits.shape[-2:] == own_size:
            return logits
        return F.interpolate(logits, own_size, mode="bilinear", align_corners=False)


def _load_ours(name: str) -> Loaded:
    """A shipped segmenter, a safetensors file with its card, or a checkpoint of ours."""
    if not name.endswith(".ckpt"):
        network = weights.load_segmenter(name)
        return Loaded(network, network.head.out_channels, segmenter_file(name))
    file = _require_file(name)
    checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    settings = checkpoint.get("hyper_parameters", {})
    prefix = "network."
    state = {
        k.removeprefix(prefix): v
        for k, v in checkpoint["state_dict"].items()
        if k.startswith(prefix)
    }
    if not state or not {"num_classes", "channels", "depth"} <= settings.keys():
        raise ValueError(
            f"{file} is not a checkpoint of the method Segmenter; train one with "
            "`semsynth fit --config experiments/segmenter/NAME.yaml`."
        )
    with torch.random.fork_rng(devices=[]):  # keeps the run's random state
        arguments = {key: settings[key] for key in ("num_classes", "channels", "depth")}
        trained = segmentation_network(**arguments, trunk=settings.get("trunk"))  # newer than some
    trained.load_state_dict(state)
    return Loaded(trained, settings["num_classes"], file)


def _load_torchscript(name: str) -> Loaded:
    """A TorchScript file; its number of classes is read off its output for a grey image."""
    file = _require_file(name)
    network = _FirstOutput(torch.jit.load(file, map_location="cpu").eval())
    with torch.no_grad():
        logits = network(torch.zeros(1, 3, 256, 256))
    return Loaded(network, logits.shape[1], file)


def _load_smp(name: str) -> Loaded:
    """A network of segmentation-models-pytorch with ImageNet's mean and deviation."""
    smp = _import("segmentation_models_pytorch")
    file = find_network(name, f"The segmenter 'smp:{name}'", REMEDY)
    with torch.random.fork_rng(devices=[]):
        network = smp.from_pretrained(file.parent)
    with torch.no_grad():
        num_classes = network.eval()(torch.zeros(1, 3, 64, 64)).shape[1]
    return Loaded(network, num_classes, file, IMAGENET_MEAN, IMAGENET_STD)


def _load_transformers(name: str) -> Loaded:
    """A network of transformers that returns logits, or masks with class logits."""
    transformers = _import("transformers")
    file = find_network(name, f"The segmenter 'hf:{name}'", REMEDY)
    folder = file.parent
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    universal = type(config) in transformers.MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING
    kind = "Universal" if universal else "Semantic"
    factory = getattr(transformers, f"AutoModelFor{kind}Segmentation")
    with torch.random.fork_rng(devices=[]):
        network = _FirstOutput(factory.from_pretrained(folder, local_files_only=True))
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    if (folder / "preprocessor_config.json").is_file():
        settings = (
            transformers.image_processing_utils.ImageProcessingMixin.get_image_processor_dict(
                folder
            )[0]
        )
        mean, std = settings.get("image_mean", mean), settings.get("image_std", std)
    return Loaded(network, config.num_labels, file, mean, std)


LOADERS: dict[str, Callable[[str], Loaded]] = {
    "torchscript": _load_torchscript,
    "smp": _load_smp,
    "hf": _load_transformers,
}


class _FirstOutput(nn.Module):
    """Logits of a network that wraps them in a tuple, a dictionary or an output object."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        output = self.network(image)
        if hasattr(output, "class_queries_logits"):  # MaskFormer: classes (B, Q, L + 1) of masks
            classes = output.class_queries_logits.softmax(dim=-1)[..., :-1]
            masks = output.masks_queries_logits.sigmoid()  # (B, Q, h, w)
            return torch.einsum("bqc,bqhw->bchw", classes, masks)
        if hasattr(output, "logits"):
            return output.logits
        if isinstance(output, dict):
            return output.get("out", next(iter(output.values())))
        return output[0] if isinstance(output, tuple | list) else output


def _require_file(name: str) -> Path:
    if not Path(name).is_file():
        raise weights.MissingWeightsError(
            f"Unknown segmenter {name}. Give the path of a file, or {REMEDY}."
        )
    return Path(name)


def _import(package: str) -> Any:
    try:
        return __import__(package)
    except ImportError as error:
        raise ModuleNotFoundError(
            f"This segmenter needs {package}; install it with "
            f"`pip install 'semsynth[metrics]'`, or {REMEDY}."
        ) from error
