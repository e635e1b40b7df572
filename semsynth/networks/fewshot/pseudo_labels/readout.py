"""A linear read-out of labels from features, as in LinearGAN and DatasetGAN."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.fewshot.pseudo_labels.features import resize, unit
from semsynth.networks.fewshot.pseudo_labels.fitted import (
    Fitted,
    annotated_pixels,
    require_channels,
)

Maps = Tensor | Sequence[Tensor]
"""Features (B, C, h, w) of one layer, or of several layers, each with its own C, h and w."""
STEPS = 40
IMPOSSIBLE = -1e4  # logit of a class without shots; finite, so that it can be stored


class LinearReadout(Fitted):
    """Labels each pixel with the largest of linear functions of its unit feature vectors.

    Multinomial logistic regression by L-BFGS on all annotated pixels, from zero, deterministic,
    after Xu and Zheng, CVPR 2021 (https://arxiv.org/abs/2104.00487). A class of n pixels in a shot
    has a weight of the square root of n. A class without shots is never predicted.

    Each layer is read at its resolution, and the logits are interpolated: equal to interpolating
    the features, but cheaper. ``decay`` is the weight of the squared norm of the coefficients.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, num_classes: int, decay: float = 2e-3) -> None:
        super().__init__()
        self.num_classes, self.decay = num_classes, decay
        self.register_buffer("weight", torch.zeros(num_classes, 1))
        self.register_buffer("bias", torch.zeros(num_classes))

    def fit(self, features: Maps, labels: Tensor) -> None:
        """Fit the coefficients to label maps (N, H, W), to whose size features are resized."""
        K, size = self.num_classes, labels.shape[-1]
        stacked = torch.cat([resize(unit(x.detach()), size) for x in layers(features)], 1)
        vectors, classes, images = annotated_pixels(stacked, labels, K)
        group = images * K + classes
        weights = torch.bincount(group)[group].rsqrt()
        unseen = torch.bincount(classes, minlength=K) == 0
        with torch.autocast(vectors.device.type, enabled=False):
            W, b = solve(vectors, classes, weights / weights.sum(), unseen, self.decay)
        self.set_buffers(weight=W, bias=b.masked_fill(unseen, IMPOSSIBLE))

    def scores(self, features: Maps, size: int | None = None) -> Tensor:
        """Logits (B, num_classes, size, size), float32; about -10,000 for unseen classes."""
        maps = layers(features)
        size = size or max(x.shape[-1] for x in maps)
        channels = [x.shape[1] for x in maps]
        require_channels(self.weight, sum(channels))
        with torch.autocast(maps[0].device.type, enabled=False):
            read = [
                resize(torch.einsum("kc,bchw->bkhw", part, unit(x)), size)
                for part, x in zip(self.weight.split(channels, 1), maps, strict=True)
            ]
            return torch.stack(read).sum(0) + self.bias.view(1, -1, 1, 1)

    def forward(self, features: Maps, size: int | None = None) -> Tensor:
        """Label maps (B, size, size), int64, of features, as of ``scores``."""
        return self.scores(features, size).argmax(1)

    def layout_loss(self, features: Maps, labels: Tensor) -> Tensor:
        """Cross-entropy (B,) of label maps (B, H, W), differentiable in the features.

        A class of n pixels has a weight of the square root of n; unseen classes and values that are
        not a class are ignored.
        """
        K = self.num_classes
        own = labels.clamp(0, K - 1)
        counted = (labels == own) & (self.bias > IMPOSSIBLE)[own]
        slot = torch.where(counted, own, K).flatten(1)
        pixels = slot.new_zeros(len(slot), K + 1).scatter_add(1, slot, torch.ones_like(slot))
        weights = pixels.gather(1, slot).float().rsqrt() * counted.flatten(1)
        safe = own.where(counted, self.bias.argmax())  # a seen class
        logits = self.scores(features, labels.shape[-1])
        errors = F.cross_entropy(logits, safe, reduction="none").flatten(1)
        return (weights * errors).sum(1) / weights.sum(1).clamp(min=1e-8)


def layers(features: Maps) -> Sequence[Tensor]:
    """The features of each layer."""
    return [features] if isinstance(features, Tensor) else features


@torch.enable_grad()
def solve(
    vectors: Tensor, classes: Tensor, weights: Tensor, unseen: Tensor, decay: float
) -> tuple[Tensor, Tensor]:
    """Coefficients (K, C) and biases (K,) that minimise weighted cross-entropy on vectors (M, C).

    The weights (M,) sum to 1; ``unseen`` classes (K,) are excluded.
    """
    W = vectors.new_zeros(len(unseen), vectors.shape[1]).requires_grad_()
    b = vectors.new_zeros(len(unseen)).requires_grad_()
    optimizer = torch.optim.LBFGS([W, b], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = (vectors @ W.t() + b).masked_fill(unseen, IMPOSSIBLE)
        errors = F.cross_entropy(logits, classes, reduction="none")
        loss = (weights * errors).sum() + decay * W.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return W.detach(), b.detach()
