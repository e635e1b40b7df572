"""Losses: adversarial, feature matching, perceptual and Kullback-Leibler.

Every mean is taken in float32, whatever the precision of the networks.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.networks.clvae.layouts import IGNORE_INDEX, resize_layout


def mean_over_scales(losses: Sequence[Tensor]) -> Tensor:
    """Mean of one loss for each scale."""
    return torch.stack(list(losses)).mean()


def hinge_loss_d(real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]) -> Tensor:
    """Hinge loss of the discriminator over scales: real logits above 1, fake ones below -1."""
    real = mean_over_scales([F.relu(1 - logits.float()).mean() for logits in real_logits])
    fake = mean_over_scales([F.relu(1 + logits.float()).mean() for logits in fake_logits])
    return real + fake


def hinge_loss_g(fake_logits: Sequence[Tensor]) -> Tensor:
    """Hinge loss of the generator: raise the logits of generated images, averaged over scales."""
    return mean_over_scales([-logits.float().mean() for logits in fake_logits])


def nonsaturating_loss_d(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Logistic loss of the discriminator (Goodfellow et al., NeurIPS 2014) from logits (B,)."""
    return F.softplus(fake_logits.float()).mean() + F.softplus(-real_logits.float()).mean()


def nonsaturating_loss_g(fake_logits: Tensor) -> Tensor:
    """Non-saturating loss of the generator (Goodfellow et al., NeurIPS 2014) from logits (B,)."""
    return F.softplus(-fake_logits.float()).mean()


def relativistic_loss_d(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Pairwise relativistic loss of the discriminator from logits (B,): real above fake.

    The logistic loss of R3GAN (Huang et al., NeurIPS 2024, https://arxiv.org/abs/2501.05441), after
    Jolicoeur-Martineau (ICLR 2019): the i-th real image is paired with the i-th generated one.
    """
    return F.softplus(fake_logits.float() - real_logits.float()).mean()


def relativistic_loss_g(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Pairwise relativistic loss of the generator from logits (B,): fake above real."""
    return relativistic_loss_d(fake_logits, real_logits)


def gradient_penalty(discriminate: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """Squared gradient norm (B,) of a discriminator at images (Mescheder et al., ICML 2018).

    R1 at real images, R2 at generated ones. ``discriminate`` maps images (B, 3, H, W) to logits
    (B,); autocast is switched off.
    """
    with torch.autocast(image.device.type, enabled=False):
        image = image.detach().float().requires_grad_()
        logits = discriminate(image)
        (gradient,) = torch.autograd.grad(logits.sum(), image, create_graph=True)
    return gradient.square().sum((1, 2, 3))


def path_lengths(image: Tensor, w_plus: Tensor, direction: Tensor) -> Tensor:
    """Path lengths (B,) of images (B, 3, H, W) (Karras et al., CVPR 2020, section 3.2).

    Root mean squares over the layers of the Jacobian times a Gaussian direction (B, 3, H, W).
    """
    H, W = image.shape[-2:]
    moved = (image * direction).sum() / math.sqrt(H * W)
    (jacobian,) = torch.autograd.grad(moved, w_plus, create_graph=True)
    return jacobian.square().sum(2).mean(1).sqrt()


def feature_matching_loss(
    fake_features: Sequence[Sequence[Tensor]], real_features: Sequence[Sequence[Tensor]]
) -> Tensor:
    """Distance between discriminator features by scale and layer (Wang et al., CVPR 2018).

    It is summed over the layers and averaged over the scales; real features get no gradient.
    """
    losses = []
    for fake, real in zip(fake_features, real_features, strict=True):
        layers = zip(fake, real, strict=True)
        losses.append(torch.stack([l1(f, r.detach()) for f, r in layers]).sum())
    return mean_over_scales(losses)


def l1(fake: Tensor, real: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean absolute difference; a weight (B, 1, H, W) is resized to the tensors by nearest."""
    difference = (fake.float() - real.float()).abs()
    if weight is not None:
        difference = difference * resize_layout(weight, difference.shape[-2:])
    return difference.mean()


class PerceptualLoss(nn.Module):
    """Weighted distance between the ``features`` of a network (Johnson et al., ECCV 2016)."""

    def __init__(
        self, features: nn.Module, weights: Sequence[float] = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)
    ) -> None:
        super().__init__()
        self.network: Any = features
        self.weights = tuple(weights)

    def forward(self, fake: Tensor, real: Tensor, loss_mask: Tensor | None = None) -> Tensor:
        """Compare images (B, 3, H, W) in [-1, 1], with pixel weights ``loss_mask`` (B, 1, H, W)."""
        with torch.no_grad():
            real_features = self.network.features(real)
        fake_features = self.network.features(fake)
        taps = zip(self.weights, fake_features, real_features, strict=True)
        return torch.stack([w * l1(f, r.detach(), loss_mask) for w, f, r in taps]).sum()


def dice_loss(logits: Tensor, mask: Tensor, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """One minus the soft Dice overlap, the mean of the classes in ``mask`` (B, H, W).

    A rare class counts as much as others (Milletari et al., 3DV 2016). Logits (B, L, H, W) are
    summed over the batch; pixels without a label do not count.
    """
    labelled = (mask != ignore_index)[:, None]  # (B, 1, H, W)
    wanted = F.one_hot(mask.where(labelled[:, 0], 0), logits.shape[1]).movedim(-1, 1) * labelled
    found = logits.float().softmax(1) * labelled
    overlap, total = (found * wanted).sum((0, 2, 3)), (found + wanted).sum((0, 2, 3))
    present = wanted.sum((0, 2, 3)) > 0
    return 1 - (2 * overlap[present] / total[present]).mean() if present.any() else 0 * total.sum()


def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL divergence from N(mu, exp(logvar)) to N(0, 1), summed over the last axis, in float32."""
    mu, logvar = mu.float(), logvar.float()
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(-1)


def gaussian_kl(mu: Tensor, logvar: Tensor, prior: tuple[Tensor, Tensor]) -> Tensor:
    """KL divergence from N(mu, exp(logvar)) to another Gaussian, summed over the last axis."""
    mu, logvar, prior_mu, prior_logvar = (x.float() for x in (mu, logvar, *prior))
    ratio = logvar - prior_logvar
    distance = (mu - prior_mu).square() * (-prior_logvar).exp()
    return 0.5 * (distance + ratio.exp() - 1 - ratio).sum(-1)


def class_layer_kl(
    mu: Tensor,
    logvar: Tensor,
    present: Tensor,
    normaliser: Tensor,
    prior: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """KL divergence (B,) of local codes (B, L, K, N): mean over the classes, sum over the levels.

    Classes that are ``present`` (B, L, K) count. The mean is over those of each level (B, L), as in
    the released code, or of the mask (B, 1), as in the paper (eq. 18). The default prior is
    N(0, 1).
    """
    kl = kl_divergence(mu, logvar) if prior is None else gaussian_kl(mu, logvar, prior)
    return ((kl * present).sum(-1) / normaliser.clamp_min(1)).sum(-1)


def class_balance(mask: Tensor, num_classes: int) -> Tensor:
    """Weights (C,) by which the classes of a batch have equal sums over the pixels; 0 if absent.

    The weights of the labelled pixels have mean 1.
    """
    labels = mask.masked_fill(mask == IGNORE_INDEX, num_classes).flatten()
    ones = torch.ones_like(labels, dtype=torch.float32)
    area = ones.new_zeros(num_classes + 1).scatter_add(0, labels, ones)[:num_classes]
    there = area > 0
    share = area / area.sum().clamp_min(1) * there.sum()
    return torch.where(there, 1 / share.clamp_min(1e-12), 0.0)


def segmentation_loss(logits: Tensor, mask: Tensor, balance: Tensor | None = None) -> Tensor:
    """Cross entropy of logits (B, C + 1, H, W) and masks (B, H, W) (Sushko et al., ICLR 2021).

    Classes may have weights (C,); the last class, of fake pixels, has weight 1.
    """
    weight = None if balance is None else F.pad(balance, (0, 1), value=1.0)
    losses = F.cross_entropy(
        logits.float(), mask, weight, ignore_index=IGNORE_INDEX, reduction="none"
    )
    return losses.sum() / (mask != IGNORE_INDEX).sum().clamp_min(1)


def contrastive_loss(fake: Tensor, real: Tensor, temperature: float = 0.07) -> Tensor:
    """Find the real features of each place among all places of its image.

    InfoNCE of patches (Park et al., ECCV 2020) on features (B, C, H, W) with cosine similarities;
    real features get no gradient.
    """
    fake, real = (F.normalize(x.float().flatten(2), dim=1) for x in (fake, real.detach()))
    logits = fake.transpose(1, 2) @ real / temperature  # (B, HW, HW)
    place = torch.arange(logits.shape[1], device=logits.device)
    return F.cross_entropy(logits.flatten(0, 1), place.repeat(len(logits)))


def diversity_loss(pairs: Tensor, margin: float) -> Tensor:
    """How far pairs of images (B, 2, 3, H, W) of one label map are from differing by a margin.

    Their mean absolute difference counts up to the margin (Yang et al., ICLR 2019, without their
    division by the distance of the codes).
    """
    difference = (pairs[:, 0].float() - pairs[:, 1].float()).abs().mean((1, 2, 3))
    return F.relu(margin - difference).mean()


def label_mix(real: Tensor, fake: Tensor, mask: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Images (B, 3, H, W) that are real or fake class by class, and where real (B, 1, H, W)."""
    labels = mask.masked_fill(mask == IGNORE_INDEX, num_classes)
    coins = torch.rand(len(mask), num_classes + 1, device=mask.device) < 0.5
    where = coins.gather(1, labels.flatten(1)).view_as(mask)[:, None]
    return torch.where(where, real, fake), where
