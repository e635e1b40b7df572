"""Adversarial objectives: terms for the generator, and a loss of the discriminator.

All images are (B, 3, H, W) in [-1, 1]; the generator's terms are weighted, named as in the log.
"""

from typing import Any

import torch
from torch import Tensor

from semsynth.losses.losses import (
    class_balance,
    contrastive_loss,
    feature_matching_loss,
    hinge_loss_d,
    hinge_loss_g,
    label_mix,
    segmentation_loss,
)
from semsynth.networks.clvae.patch_discriminator import Output, halves


class PatchAdversary:
    """Hinge loss on patches under their layout, with feature matching (as in SPADE)."""

    def __init__(self, feature_matching_weight: float) -> None:
        self.feature_matching_weight = feature_matching_weight

    def generator_terms(
        self, discriminator: Any, layout: Tensor, mask: Tensor, fake: Tensor, real: Tensor
    ) -> dict[str, Tensor]:
        """Hinge and feature matching."""
        on_fake, on_real = judge(discriminator, layout, fake, real)
        matching = feature_matching_loss([f for f, _ in on_fake], [f for f, _ in on_real])
        return {
            "gan_g": hinge_loss_g([logits for _, logits in on_fake]),
            "feature_matching": self.feature_matching_weight * matching,
        }

    def discriminator_loss(
        self, discriminator: Any, layout: Tensor, mask: Tensor, fake: Tensor, real: Tensor
    ) -> Tensor:
        """Hinge loss of real against generated images."""
        on_fake, on_real = judge(discriminator, layout, fake, real)
        return hinge_loss_d([logits for _, logits in on_real], [logits for _, logits in on_fake])


class SegmentationAdversary:
    """Cross entropy of N classes and fake, balanced by area; consistency on mixtures (OASIS)."""

    def __init__(self, label_mix_weight: float) -> None:
        self.label_mix_weight = label_mix_weight

    def generator_terms(
        self, discriminator: Any, layout: Tensor, mask: Tensor, fake: Tensor, real: Tensor
    ) -> dict[str, Tensor]:
        """Cross entropy of generated pixels and their class."""
        balance = class_balance(mask, layout.shape[1])
        return {"gan_g": segmentation_loss(discriminator(fake), mask, balance)}

    def discriminator_loss(
        self, discriminator: Any, layout: Tensor, mask: Tensor, fake: Tensor, real: Tensor
    ) -> Tensor:
        """Real pixels to their class, generated ones to the last, and consistency on mixtures."""
        num_classes = layout.shape[1]
        on_fake, on_real = discriminator(torch.cat([fake, real])).chunk(2)
        loss = segmentation_loss(on_real, mask, class_balance(mask, num_classes))
        loss = loss + segmentation_loss(on_fake, torch.full_like(mask, num_classes))
        if self.label_mix_weight:
            mixed, where = label_mix(real, fake, mask, num_classes)
            expected = torch.where(where, on_real, on_fake).float()
            difference = discriminator(mixed).float() - expected
            loss = loss + self.label_mix_weight * difference.square().mean()
        return loss


class BackboneAdversary(SegmentationAdversary):
    """OASIS's adversary on a frozen backbone, whose features of real and fake places are matched.

    The features of the coarsest stage are compared by a contrastive loss, as in DP-SIMS.
    """

    def __init__(self, label_mix_weight: float, contrastive_weight: float) -> None:
        super().__init__(label_mix_weight)
        self.contrastive_weight = contrastive_weight

    def reconstruction_terms(
        self, discriminator: Any, fake: Tensor, real: Tensor
    ) -> dict[str, Tensor]:
        """Contrastive loss of reconstructions."""
        if not self.contrastive_weight:
            return {}
        on_fake = discriminator.backbone.features(fake)[-1]
        with torch.no_grad():
            on_real = discriminator.backbone.features(real)[-1]
        return {"contrastive": self.contrastive_weight * contrastive_loss(on_fake, on_real)}


def judge(
    discriminator: Any, layout: Tensor, fake: Tensor, real: Tensor
) -> tuple[list[Output], list[Output]]:
    """A patch discriminator's outputs for fake and real images, from one call."""
    return halves(discriminator(layout, torch.cat([fake, real])))


Adversary = PatchAdversary | SegmentationAdversary | BackboneAdversary
