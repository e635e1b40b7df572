"""Class- and layer-wise VAE on SPADE (Endo and Kanamori, Pacific Graphics 2020).

Paper: https://arxiv.org/abs/2106.13416.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from semsynth import weights
from semsynth.losses import (
    PerceptualLoss,
    class_layer_kl,
    feature_matching_loss,
    hinge_loss_d,
    hinge_loss_g,
    kl_divergence,
)
from semsynth.methods.base import Batch, Method, count_as_one_step, require_unused_parameters
from semsynth.networks.clvae_encoder import CLVAEEncoder, Posterior, classes_present
from semsynth.networks.clvae_generator import CLVAEGenerator
from semsynth.networks.noise import hash_int64, seeded_normal
from semsynth.networks.patch_discriminator import MultiscaleDiscriminator, Output, halves
from semsynth.networks.spade import initialise, one_hot
from semsynth.networks.vgg import VGG19Features

VGG_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)  # of SPADE and pix2pixHD
UNET_WEIGHTS = (1.0, 1.0, 1.0)


class CLVAE(Method):
    """One style code for each class and each layer of a SPADE generator.

    Defaults are the paper's for ADE20K. Where the paper and its code differ, the code is followed:
    the learning rates (the paper's sentence swaps them) and the divisor of the KL term.
    ``class_wise`` and ``layer_wise`` both off is the baseline that the paper calls GauGAN-VAE.

    Args:
        num_classes: Classes of the masks.
        image_size: Height and width of the images.
        channels: Width of generator and encoder at full resolution.
        discriminator_channels: Width of the first layer of the discriminator.
        spade_channels: Hidden width of the modulation.
        z_dim: Length of the global code.
        code_dim: Length of a class's code at one level; ``num_classes`` if not given.
        num_levels: Levels that have codes, 0 to 5; the paper's L is one more.
        class_wise: A code for each class, instead of one for the whole image.
        layer_wise: A code for each level, instead of one that serves all.
        upsampling: Halvings between image and start grid: 5 (normal), 6 (more) or 7 (most).
        encoder_size: The encoder sees images at this height and width.
        perceptual: Network whose features the perceptual loss compares.
        vgg_norm: ``none`` feeds VGG-19 images in [-1, 1] as the official code does; ``imagenet``
            normalises them first.
        perceptual_weight: Weight of the perceptual loss; 0 does without the network.
        feature_matching_weight: Weight of the discriminator's feature matching.
        kl_weight: Weight of the KL term, summed over a batch of ``kl_ref_batch`` samples.
        kl_ref_batch: Batch size that ``kl_weight`` refers to; the loss itself is a batch mean.
        kl_norm: Divide the classes' KL by those present at the level, or in the mask (eq. 18).
        lr_g: Learning rate of generator and encoder.
        lr_d: Learning rate of the discriminator.
        betas: Adam's decay rates.
        constant_epochs: Epochs before the learning rate falls.
        decay_epochs: Epochs over which it falls linearly to 0; 0 keeps it constant.
        init: Initial weights as upstream gets them on a GPU (spectral-normed convolutions keep
            PyTorch's default), or Xavier with gain 0.02 everywhere.
        fresh_fake_for_d: Draw new images for the discriminator's step, as upstream does.
    """

    frozen = ("perceptual_loss",)

    def __init__(
        self,
        num_classes: int,
        image_size: tuple[int, int] = (256, 256),
        channels: int = 64,
        discriminator_channels: int = 64,
        spade_channels: int = 128,
        z_dim: int = 256,
        code_dim: int | None = None,
        num_levels: int = 5,
        class_wise: bool = True,
        layer_wise: bool = True,
        upsampling: Literal["normal", "more", "most"] = "normal",
        encoder_size: int = 256,
        perceptual: Literal["vgg19", "toy_street", "toy_portrait"] = "vgg19",
        vgg_norm: Literal["none", "imagenet"] = "none",
        perceptual_weight: float = 10.0,
        feature_matching_weight: float = 10.0,
        kl_weight: float = 0.05,
        kl_ref_batch: int = 4,
        kl_norm: Literal["level", "mask"] = "level",
        lr_g: float = 1e-4,
        lr_d: float = 4e-4,
        betas: tuple[float, float] = (0.0, 0.9),
        constant_epochs: int = 100,
        decay_epochs: int = 100,
        init: Literal["upstream_gpu", "xavier"] = "upstream_gpu",
        fresh_fake_for_d: bool = True,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        self.automatic_optimization = False
        self.num_classes = num_classes
        self.z_dim = z_dim
        self.perceptual = perceptual
        self.vgg_norm = vgg_norm
        self.perceptual_weight = perceptual_weight
        self.feature_matching_weight = feature_matching_weight
        self.kl_weight = kl_weight * kl_ref_batch
        self.kl_norm = kl_norm
        self.lr_g, self.lr_d, self.betas = lr_g, lr_d, betas
        self.constant_epochs, self.decay_epochs = constant_epochs, decay_epochs
        self.fresh_fake_for_d = fresh_fake_for_d
        self.perceptual_loss: PerceptualLoss | None = None
        codes = (channels, z_dim, code_dim, num_levels)
        switches = {"class_wise": class_wise, "layer_wise": layer_wise}
        self.encoder = CLVAEEncoder(num_classes, *codes, **switches, encoder_size=encoder_size)
        self.generator = CLVAEGenerator(
            num_classes,
            (image_size[0], image_size[1]),
            *codes,
            **switches,
            upsampling=upsampling,
            spade_channels=spade_channels,
        )
        self.discriminator = MultiscaleDiscriminator(num_classes + 3, discriminator_channels)
        for network in (self.encoder, self.generator, self.discriminator):
            initialise(network, init)
        self.to(memory_format=torch.channels_last)  # a quarter faster, on CPU and under bf16

    def setup(self, stage: str) -> None:
        """Check the strategy and open the perceptual network before any work is done."""
        if stage != "fit":
            return
        require_unused_parameters(self.trainer.strategy)
        if self.perceptual_weight and self.perceptual_loss is None:
            self.perceptual_loss = self._build_perceptual_loss()

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LambdaLR]]:
        """Adam for generator and encoder together, Adam for the discriminator."""
        generative = [*self.generator.parameters(), *self.encoder.parameters()]
        optimizers: list[Optimizer] = [
            Adam(generative, self.lr_g, self.betas, fused=True),
            Adam(self.discriminator.parameters(), self.lr_d, self.betas, fused=True),
        ]
        return optimizers, [LambdaLR(o, self.lr_factor) for o in optimizers]

    def lr_factor(self, epoch: int) -> float:
        """Factor of the learning rates in an epoch, the first of which is 0."""
        if not self.decay_epochs:
            return 1.0
        return min(1.0, max(0.0, 1 - (epoch - self.constant_epochs) / self.decay_epochs))

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One step of generator and encoder, then one of the discriminator, on the same batch."""
        opt_g, opt_d = self.optimizers()  # type: ignore[attr-defined]  # a list of two
        count_as_one_step([opt_d])
        layout = one_hot(batch["mask"], self.num_classes)
        losses, fake = self.step_generator(batch, layout, opt_g)
        loss_d = self.step_discriminator(batch, layout, fake, opt_d)
        self.log("train/loss_g", sum(losses.values()), prog_bar=True)
        self.log_dict({f"train/{k}": v for k, v in (losses | {"loss_d": loss_d}).items()})

    def step_generator(
        self, batch: Batch, layout: Tensor, optimizer: LightningOptimizer
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Update generator and encoder; return the terms of their loss and the images."""
        self.toggle_optimizer(optimizer)
        fake, posterior = self.reconstruct(batch)
        losses = self.generator_losses(batch, layout, fake, posterior)
        optimizer.zero_grad()
        self.manual_backward(torch.stack(list(losses.values())).sum())
        optimizer.step()
        self.untoggle_optimizer(optimizer)
        return {name: loss.detach() for name, loss in losses.items()}, fake.detach()

    def step_discriminator(
        self, batch: Batch, layout: Tensor, fake: Tensor, optimizer: LightningOptimizer
    ) -> Tensor:
        """Update the discriminator, by default on images drawn anew; return its loss."""
        self.toggle_optimizer(optimizer)
        if self.fresh_fake_for_d:
            with torch.no_grad():
                fake, _ = self.reconstruct(batch)
        loss = self.discriminator_loss(batch, layout, fake)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.untoggle_optimizer(optimizer)
        return loss.detach()

    def on_train_epoch_end(self) -> None:
        """Advance the learning rates; Lightning leaves this to manual optimisation."""
        for scheduler in self.lr_schedulers():  # type: ignore[union-attr]  # a list of two
            scheduler.step()

    def reconstruct(self, batch: Batch) -> tuple[Tensor, Posterior]:
        """Encode the images, draw codes from the posterior, and decode them under their masks."""
        posterior = self.encoder(batch["image"], batch["mask"])
        z_global = draw(posterior.mu_global, posterior.logvar_global)
        z_local = draw(posterior.mu, posterior.logvar)  # N(0, 1) for absent classes
        return self.generator(batch["mask"], z_global, z_local), posterior

    def generator_losses(
        self, batch: Batch, layout: Tensor, fake: Tensor, posterior: Posterior
    ) -> dict[str, Tensor]:
        """Weighted terms of the loss of generator and encoder."""
        on_fake, on_real = self.judge(layout, fake, batch["image"])
        losses = {
            "gan_g": hinge_loss_g([logits for _, logits in on_fake]),
            "feature_matching": self.feature_matching_weight
            * feature_matching_loss([f for f, _ in on_fake], [f for f, _ in on_real]),
            "kl": self.kl_weight * self.kl(posterior, batch["mask"]).mean(),
        }
        if self.perceptual_loss is not None:
            losses["perceptual"] = self.perceptual_weight * self.perceptual_loss(
                fake, batch["image"], batch.get("loss_mask")
            )
        return losses

    def discriminator_loss(self, batch: Batch, layout: Tensor, fake: Tensor) -> Tensor:
        """Hinge loss of real against generated images."""
        on_fake, on_real = self.judge(layout, fake, batch["image"])
        return hinge_loss_d([logits for _, logits in on_real], [logits for _, logits in on_fake])

    def judge(
        self, layout: Tensor, fake: Tensor, real: Tensor
    ) -> tuple[list[Output], list[Output]]:
        """The discriminator's outputs for fake and real images, from one call."""
        return halves(self.discriminator(layout, torch.cat([fake, real])))

    def kl(self, posterior: Posterior, mask: Tensor) -> Tensor:
        """Divergence of the posterior from N(0, 1), global and local (B,)."""
        normaliser = posterior.present.sum(2)  # (B, L)
        if self.kl_norm == "mask" and posterior.present.shape[2] > 1:
            normaliser = classes_present(mask, self.num_classes).sum(1, keepdim=True)
        local = class_layer_kl(posterior.mu, posterior.logvar, posterior.present, normaliser)
        return kl_divergence(posterior.mu_global, posterior.logvar_global) + local

    def prior(self, seed: Tensor) -> tuple[Tensor, Tensor]:
        """Codes drawn from N(0, 1).

        All classes and levels are drawn, so the codes of a class do not depend on the mask.

        Args:
            seed: Seeds (B,), int64.

        Returns:
            Global codes (B, z_dim) and local codes (B, L, K, N).
        """
        L, K, N = self.generator.code_shape
        z_global, z_local = seeded_normal(seed, self.z_dim + L * K * N).split(
            [self.z_dim, L * K * N], dim=1
        )
        return z_global, z_local.reshape(len(seed), L, K, N)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] for ``mask``, with codes drawn by ``seed`` (B,)."""
        seed = batch.get("seed")
        if seed is None:
            seed = torch.randint(1 << 62, (len(batch["mask"]),), device=self.device)
        return self.generator(batch["mask"], *self.prior(seed))

    def variations(self, batch: Batch, num_images: int) -> dict[str, Tensor]:
        """Redraw one class, and one level, with all other codes fixed.

        The class is the largest one of each mask; the levels are the finest and the coarsest.
        """
        L, K, _ = self.generator.code_shape
        levels = torch.arange(L, device=self.device).view(1, L, 1, 1)
        chosen: dict[str, Tensor] = {}
        if K > 1:
            largest = one_hot(batch["mask"], self.num_classes).sum((2, 3)).argmax(1)
            chosen["one_class"] = F.one_hot(largest, K).bool().view(-1, 1, K, 1)
        if L > 1:
            chosen |= {"finest_level": levels == 0, "coarsest_level": levels == L - 1}
        return {name: self.redrawn(batch, where, num_images) for name, where in chosen.items()}

    def vary(self, batch: Batch, num_images: int, level: int) -> dict[str, Tensor]:
        """Images that differ in the code of one class of each mask, which the seed chooses."""
        L, K, _ = self.generator.code_shape
        if K == 1 or level >= L:
            raise ValueError(
                f"The codes are ({L} levels, {K} classes), and ClassDiversity asks for single "
                f"classes at level {level}. Take it out of evaluation.metrics, or lower its "
                "num_levels."
            )
        present = classes_present(batch["mask"], self.num_classes)  # (B, K)
        luck = seeded_normal(hash_int64(batch["seed"]), K)
        varied_class = luck.masked_fill(~present, -torch.inf).argmax(1)
        where = F.one_hot(varied_class, K).bool().view(-1, 1, K, 1)
        if level >= 0:
            where = where & (torch.arange(L, device=self.device).view(1, L, 1, 1) == level)
        return {
            "varied": self.redrawn(batch, where, num_images),
            "varied_class": varied_class,
            "varied_level": torch.full_like(varied_class, level),
        }

    def redrawn(self, batch: Batch, where: Tensor, num_images: int) -> Tensor:
        """Images (B, num_images, 3, H, W) with codes drawn anew at ``where`` (B, L, K, 1)."""
        z_global, z_local = self.prior(batch["seed"])
        images = []
        for i in range(num_images):
            _, other = self.prior(hash_int64(batch["seed"] + i + 1))
            codes = torch.where(where, other, z_local)
            images.append(self.generator(batch["mask"], z_global, codes).float())
        return torch.stack(images, dim=1)

    def _build_perceptual_loss(self) -> PerceptualLoss:
        if self.perceptual != "vgg19":
            return PerceptualLoss(weights.load_segmenter(self.perceptual), UNET_WEIGHTS)
        path = weights.find(
            "vgg19", "The perceptual loss (model.perceptual: vgg19)", "--model.perceptual_weight 0"
        )
        network = VGG19Features(self.vgg_norm)
        network.load(torch.load(path, map_location="cpu", weights_only=True))
        return PerceptualLoss(network, VGG_WEIGHTS)


def draw(mu: Tensor, logvar: Tensor) -> Tensor:
    """A sample of N(mu, exp(logvar)), differentiable in both."""
    return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
