"""A linear read-out of labels from features, as LinearGAN and DatasetGAN use them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.pseudo_labels.features import unit
from semsynth.networks.pseudo_labels.fitted import Fitted, annotated_pixels, cosines

STEPS = 40
IMPOSSIBLE = -1e4  # logit of a class that no shot shows, while fitting


class LinearReadout(Fitted):
    """Labels each pixel with the largest of linear functions of its unit feature vector.

    Multinomial logistic regression by L-BFGS on all annotated pixels at once, from zero and so
    without chance; in the manner of Xu and Zheng, CVPR 2021 (https://arxiv.org/abs/2104.00487). A
    class of n pixels in a shot weighs as the square root of n. A class that no shot shows is never
    given.

    Args:
        num_classes: Number of classes.
        decay: Weight of the squared norm of the coefficients, against a mean over the pixels.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, num_classes: int, decay: float = 1e-4) -> None:
        super().__init__()
        self.num_classes, self.decay = num_classes, decay
        self.register_buffer("weight", torch.zeros(num_classes, 1))
        self.register_buffer("bias", torch.zeros(num_classes))

    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Find the coefficients.

        Args:
            features: Features (N, C, h, w) of the shots.
            labels: Label maps (N, h, w), int64; values that are no class are ignored.

        Raises:
            ValueError: Shapes do not fit together, or no pixel has a class.
        """
        K = self.num_classes
        vectors, classes, images = annotated_pixels(features.detach(), labels, K)
        group = images * K + classes
        weights = torch.bincount(group)[group].rsqrt()
        unseen = torch.bincount(classes, minlength=K) == 0
        with torch.autocast(vectors.device.type, enabled=False):
            W, b = solve(unit(vectors), classes, weights / weights.sum(), unseen, self.decay)
        self.set_buffers(weight=W, bias=b.masked_fill(unseen, -torch.inf))

    def scores(self, features: Tensor) -> Tensor:
        """Logits (B, num_classes, h, w), float32, of features (B, C, h, w)."""
        B, _, h, w = features.shape
        scores = cosines(self.weight, features) + self.bias[:, None]
        return scores.view(B, -1, h, w)

    def forward(self, features: Tensor) -> Tensor:
        """Label maps (B, h, w), int64, of features (B, C, h, w)."""
        return self.scores(features).argmax(1)


@torch.enable_grad()
def solve(
    vectors: Tensor, classes: Tensor, weights: Tensor, unseen: Tensor, decay: float
) -> tuple[Tensor, Tensor]:
    """Coefficients (K, C) and constants (K,) of least weighted cross-entropy.

    Args:
        vectors: Vectors (M, C).
        classes: Class of each (M,).
        weights: Weight of each (M,); their sum is 1.
        unseen: Classes (K,), bool, that are left out.
        decay: Weight of the squared norm of the coefficients.
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
