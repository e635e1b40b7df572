"""Base of the labellers: members of classes, and buffers whose shapes depend on the shots."""

from typing import Any

import torch
from torch import Tensor, nn

from semsynth.networks.fewshot.pseudo_labels.features import unit


class Fitted(nn.Module):
    """A module whose buffers are set by ``fit`` and load any shape from a checkpoint."""

    def set_buffers(self, **values: Tensor) -> None:
        """Replace buffers by others of any shape, on the same device."""
        for name, value in values.items():
            device = self.get_buffer(name).device
            self.register_buffer(name, value.detach().to(device).contiguous())

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name, buffer in list(self.named_buffers(recurse=False)):
            if (stored := state_dict.get(prefix + name)) is not None:
                self.set_buffers(**{name: torch.empty_like(stored, dtype=buffer.dtype)})
        super()._load_from_state_dict(state_dict, prefix, *args)


def cosines(vectors: Tensor, features: Tensor) -> Tensor:
    """Products (B, M, h * w) of vectors (M, C) with the unit vectors of features (B, C, h, w).

    In float32 even under autocast; they are cosines if the vectors are unit vectors too.
    """
    B, C, h, w = features.shape
    require_channels(vectors, C)
    with torch.autocast(features.device.type, enabled=False):
        return vectors @ unit(features).reshape(B, C, h * w)


def require_channels(vectors: Tensor, channels: int) -> None:
    """Refuse features of other layers than those of the fitted vectors (M, C)."""
    if vectors.shape[1] != channels:
        raise ValueError(
            f"The features have {channels} channels, but the labeller was fitted on "
            f"{vectors.shape[1]}; fit it to the shots first, with features of the same layers."
        )


def annotated_pixels(
    features: Tensor, labels: Tensor, num_classes: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Vectors (M, C), float32, classes (M,) and images (M,) of the pixels that have a class.

    Features are (N, C, h, w); labels (N, h, w) that are not a class are ignored.
    """
    N, _, h, w = features.shape
    if labels.shape != (N, h, w):
        raise ValueError(
            f"labels must have the features' shape {(N, h, w)}, got {tuple(labels.shape)}; use "
            "downsample_labels."
        )
    known = (labels >= 0) & (labels < num_classes)
    if not known.any():
        raise ValueError(
            f"No pixel of the shots has one of the {num_classes} classes; check the label files."
        )
    image = torch.arange(N, device=labels.device).view(N, 1, 1).expand_as(labels)
    return features.movedim(1, -1)[known].float(), labels[known], image[known]
