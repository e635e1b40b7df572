"""Dense pseudo-labelling by class prototypes (section 3.1 of the paper)."""

from typing import Literal

import torch
from torch import Tensor

from semsynth.networks.fewshot.pseudo_labels.features import unit
from semsynth.networks.fewshot.pseudo_labels.fitted import Fitted, annotated_pixels, cosines


class DensePrototypes(Fitted):
    """Labels each pixel with the class whose prototype is most similar.

    The prototype of a class is the mean, over the shots that contain it, of its mean feature in
    each. A class without shots is never predicted; in the paper's code its prototype is zero, and
    wins where all cosines are negative. In ties the smaller class wins.
    """

    prototypes: Tensor
    seen: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.register_buffer("prototypes", torch.zeros(num_classes, 1, 1))  # (K, 1, C)
        self.register_buffer("seen", torch.zeros(num_classes, dtype=torch.bool))

    @torch.no_grad()
    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Compute the prototypes of features (N, C, h, w) under label maps (N, h, w)."""
        K, N = self.num_classes, len(features)
        vectors, classes, images = annotated_pixels(features, labels, K)
        group = images * K + classes
        pixels = torch.bincount(group, minlength=N * K).float()  # (N K)
        weights = 1 / pixels[group]  # images are weighted equally, whatever their number of pixels
        means = vectors.new_zeros(K, vectors.shape[1])
        means.index_add_(0, classes, vectors * weights[:, None])
        self.set_buffers(prototypes=unit(means)[:, None], seen=pixels.view(N, K).sum(0) > 0)

    def scores(self, features: Tensor) -> Tensor:
        """Cosines (B, num_classes, h, w), float32, of features (B, C, h, w); -inf if unseen."""
        cosine = cosines(self.prototypes[:, 0], features).unflatten(2, features.shape[-2:])
        return cosine.masked_fill(~self.seen.view(1, -1, 1, 1), -torch.inf)

    def forward(self, features: Tensor) -> Tensor:
        """Label maps (B, h, w), int64, of features (B, C, h, w)."""
        return self.scores(features).argmax(1)

    def layout_loss(
        self,
        features: Tensor,
        labels: Tensor,
        sparse: bool = False,
        over: Literal["positions", "annotated"] = "annotated",
    ) -> Tensor:
        """One minus the cosine (B,) to the label's prototype, differentiable in the features.

        The mean is over the annotated pixels, 0 without any; or over all positions, with cosine 0
        for the others (Endo and Kanamori, CGI 2022). Unseen classes, values that are not a class,
        and 0 if ``sparse`` count as not annotated.
        """
        own = labels.clamp(0, self.num_classes - 1)
        annotated = (labels == own) & self.seen[own]
        if sparse:
            annotated = annotated & (labels != 0)
        cosine = self.scores(features).gather(1, own[:, None])[:, 0]
        total = torch.where(annotated, cosine, 0.0).sum((1, 2))
        count = annotated.sum((1, 2))
        if over == "positions":
            return 1 - total / labels[0].numel()
        return (count - total) / count.clamp(min=1)
