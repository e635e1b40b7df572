"""Losses: adversarial, feature matching, perceptual and Kullback-Leibler.

Every mean is taken in float32, whatever the precision of the networks.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.networks.spade import resize_layout


def mean_over_scales(losses: Sequence[Tensor]) -> Tensor:
    """Mean of one loss for each scale."""
    return torch.stack(list(losses)).mean()


def hinge_loss_d(real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]) -> Tensor:
    """Hinge loss of the discriminator: real above 1, fake below -1.

    Args:
        real_logits: Logits of real images, one tensor for each scale.
        fake_logits: Logits of generated images, one tensor for each scale.

    Returns:
        Loss (), averaged over the scales.
    """
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


def r1_penalty(discriminate: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Squared norm of the discriminator's gradient at real images (Mescheder et al., ICML 2018).

    Args:
        discriminate: Maps images (B, 3, H, W) to logits (B,).
        real: Real images (B, 3, H, W).

    Returns:
        Penalties (B,), in float32 whatever the precision of autocast.
    """
    with torch.autocast(real.device.type, enabled=False):
        real = real.detach().float().requires_grad_()
        logits = discriminate(real)
        (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return gradient.square().sum((1, 2, 3))


def path_lengths(image: Tensor, w_plus: Tensor, direction: Tensor) -> Tensor:
    """How far images move with their latents (Karras et al., CVPR 2020, section 3.2).

    Args:
        image: Images (B, 3, H, W) drawn from ``w_plus``.
        w_plus: Latents (B, num_ws, w_dim) that need gradients.
        direction: Gaussian noise (B, 3, H, W), the direction in which movement is measured.

    Returns:
        Lengths (B,): root mean square over the layers of the Jacobian's product with it.
    """
    H, W = image.shape[-2:]
    moved = (image * direction).sum() / math.sqrt(H * W)
    (jacobian,) = torch.autograd.grad(moved, w_plus, create_graph=True)
    return jacobian.square().sum(2).mean(1).sqrt()


def feature_matching_loss(
    fake_features: Sequence[Sequence[Tensor]], real_features: Sequence[Sequence[Tensor]]
) -> Tensor:
    """Distance between discriminator features (Wang et al., CVPR 2018).

    Args:
        fake_features: Features of generated images: for each scale, one tensor a layer.
        real_features: Features of real images, alike; they get no gradient.

    Returns:
        Loss (): summed over the layers, averaged over the scales.
    """
    scales = zip(fake_features, real_features, strict=True)
    return mean_over_scales(
        [
            torch.stack([l1(f, r.detach()) for f, r in zip(fake, real, strict=True)]).sum()
            for fake, real in scales
        ]
    )


def l1(fake: Tensor, real: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean absolute difference; a weight (B, 1, H, W) is resized to the tensors by nearest."""
    difference = (fake.float() - real.float()).abs()
    if weight is not None:
        difference = difference * resize_layout(weight, difference.shape[-2:])
    return difference.mean()


class PerceptualLoss(nn.Module):
    """Distance between features of a fixed network (Johnson et al., ECCV 2016).

    Args:
        features: Network with a method ``features(image)`` that returns a list of tensors.
        weights: Weight of each of them; the default is for VGG19Features.
    """

    def __init__(
        self,
        features: nn.Module,
        weights: Sequence[float] = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1),
    ) -> None:
        super().__init__()
        self.network: Any = features
        self.weights = tuple(weights)

    def forward(self, fake: Tensor, real: Tensor, loss_mask: Tensor | None = None) -> Tensor:
        """Compare images.

        Args:
            fake: Generated images (B, 3, H, W) in [-1, 1].
            real: Real images (B, 3, H, W) in [-1, 1]; they get no gradient.
            loss_mask: Weight of each pixel (B, 1, H, W), not negative.

        Returns:
            Loss ().
        """
        with torch.no_grad():
            real_features = self.network.features(real)
        fake_features = self.network.features(fake)
        taps = zip(self.weights, fake_features, real_features, strict=True)
        return torch.stack([w * l1(f, r.detach(), loss_mask) for w, f, r in taps]).sum()


def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL divergence from N(mu, exp(logvar)) to N(0, 1), summed over the last axis, in float32."""
    mu, logvar = mu.float(), logvar.float()
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(-1)


def class_layer_kl(mu: Tensor, logvar: Tensor, present: Tensor, normaliser: Tensor) -> Tensor:
    """KL divergence of local codes: mean over the classes, sum over the levels.

    Args:
        mu: Means (B, L, K, N).
        logvar: Log-variances (B, L, K, N).
        present: Whether the class covers a pixel of the level (B, L, K).
        normaliser: Number of classes to divide by: those of each level (B, L), as the released
            code does, or those of the whole mask (B, 1), as the paper writes (eq. 18).

    Returns:
        Divergences (B,).
    """
    kl = (kl_divergence(mu, logvar) * present).sum(-1)  # (B, L)
    return (kl / normaliser.clamp_min(1)).sum(-1)
