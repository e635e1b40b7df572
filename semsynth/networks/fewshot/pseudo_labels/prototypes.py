"""Dense pseudo-labelling by class prototypes (section 3.1 of the paper)."""

from typing import Literal

import torch
from torch import Tensor

from semsynth.networks.fewshot.pseudo_labels.clusters import cluster_classes
from semsynth.networks.fewshot.pseudo_labels.features import unit
from semsynth.networks.fewshot.pseudo_labels.fitted import Fitted, annotated_pixels, cosines


class DensePrototypes(Fitted):
    """Labels each pixel with the class whose prototype is most similar.

    A class's prototype is the mean over the shots that show it of its mean feature in each. A class
    that no shot shows is never given; in the paper's code its prototype is zero, and wins where all
    cosines are negative. Equal cosines give the smaller class.

    Args:
        num_classes: Number of classes.
        prototypes_per_class: Above 1, centres of clusters among the unit vectors of a class take
            the place of the mean, and its cosine is that of the most similar.
    """

    prototypes: Tensor
    seen: Tensor

    def __init__(self, num_classes: int, prototypes_per_class: int = 1) -> None:
        super().__init__()
        self.num_classes, self.prototypes_per_class = num_classes, prototypes_per_class
        self.register_buffer("prototypes", torch.zeros(num_classes, prototypes_per_class, 1))
        self.register_buffer("seen", torch.zeros(num_classes, dtype=torch.bool))

    @torch.no_grad()
    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Make the prototypes.

        Args:
            features: Features (N, C, h, w) of the shots.
            labels: Label maps (N, h, w), int64; values that are no class are ignored.

        Raises:
            ValueError: Shapes do not fit together, or no pixel has a class.
        """
        K, N = self.num_classes, len(features)
        vectors, classes, images = annotated_pixels(features, labels, K)
        group = images * K + classes
        pixels = torch.bincount(group, minlength=N * K).float()  # (N K)
        weights = 1 / pixels[group]  # each image counts the same, whatever its number of pixels
        if self.prototypes_per_class == 1:
            means = vectors.new_zeros(K, vectors.shape[1])
            means.index_add_(0, classes, vectors * weights[:, None])
            centres = unit(means)[:, None]
        else:
            count = self.prototypes_per_class
            centres = cluster_classes(unit(vectors), classes, weights, K, count)
        self.set_buffers(prototypes=centres, seen=pixels.view(N, K).sum(0) > 0)

    def scores(self, features: Tensor) -> Tensor:
        """Cosines to the most similar prototype of each class.

        Args:
            features: Features (B, C, h, w).

        Returns:
            Cosines (B, num_classes, h, w), float32; minus infinity for classes that were not seen.
        """
        B, _, h, w = features.shape
        K, Q, _ = self.prototypes.shape
        cosine = cosines(self.prototypes.flatten(0, 1), features).view(B, K, Q, h, w).amax(2)
        return cosine.masked_fill(~self.seen.view(1, K, 1, 1), -torch.inf)

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
        """One minus the cosine to the prototype of the label, to be lowered through the features.

        Args:
            features: Features (B, C, h, w).
            labels: Label maps (B, h, w), int64; values that are no class, and classes that no shot
                shows, are not annotated.
            sparse: Whether 0 is not annotated either.
            over: Mean over the annotated pixels, or over all positions, of which the others count
                as cosine 0, as in Endo and Kanamori, CGI 2022.

        Returns:
            Losses (B,), float32; 0 without an annotated pixel under ``annotated``.
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
