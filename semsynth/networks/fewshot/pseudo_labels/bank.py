"""Sparse pseudo-labelling: scribbles and landmarks (section 3.2 of the paper)."""

import torch
from torch import Tensor

from semsynth.networks.fewshot.pseudo_labels.features import unit
from semsynth.networks.fewshot.pseudo_labels.fitted import Fitted, annotated_pixels, cosines


class SparseBank(Fitted):
    """Labels the few pixels that are most similar to the annotated ones of the shots.

    Each annotated pixel votes for its class at its ``topk`` most similar pixels, if their cosine
    exceeds ``threshold``. A pixel takes the class of its strongest vote, in ties the smaller class;
    without a vote it is 0, unknown. ``torch.topk`` breaks ties among pixels.
    """

    vectors: Tensor
    classes: Tensor

    def __init__(self, num_classes: int, topk: int = 3, threshold: float = 0.5) -> None:
        super().__init__()
        self.num_classes, self.topk, self.threshold = num_classes, topk, threshold
        self.register_buffer("vectors", torch.zeros(0, 1))
        self.register_buffer("classes", torch.zeros(0, dtype=torch.long))

    @torch.no_grad()
    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Store features (N, C, h, w) of pixels of label maps (N, h, w) that are not 0."""
        annotated = labels.masked_fill(labels == 0, -1)
        vectors, classes, _ = annotated_pixels(features, annotated, self.num_classes)
        self.set_buffers(vectors=unit(vectors), classes=classes)

    def scores(self, features: Tensor) -> Tensor:
        """Strongest vote (B, num_classes, h, w) for each class; 0 without one, and for class 0."""
        B, _, h, w = features.shape
        K, P = self.num_classes, h * w
        cosine = cosines(self.vectors, features)  # (B, M, P)
        best, pixel = cosine.topk(min(self.topk, P), dim=2)  # (B, M, topk)
        vote = torch.where(best > self.threshold, best, 0.0)
        index = self.classes[:, None] * P + pixel
        votes = vote.new_zeros(B, K * P).scatter_reduce(
            1, index.flatten(1), vote.flatten(1), "amax"
        )
        return votes.view(B, K, h, w)

    def forward(self, features: Tensor) -> Tensor:
        """Label maps (B, h, w), int64, of features (B, C, h, w)."""
        return self.scores(features).argmax(1)
