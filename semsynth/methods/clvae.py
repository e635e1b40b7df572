"""Class- and layer-wise VAE on SPADE (Endo and Kanamori, Pacific Graphics 2020).

Paper: https://arxiv.org/abs/2106.13416.
"""

from collections.abc import Collection, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from semsynth import weights
from semsynth.errors import require_not_negative, require_positive
from semsynth.losses.adversarial import Adversary, BackboneAdversary
from semsynth.losses.losses import PerceptualLoss, class_layer_kl, diversity_loss, kl_divergence
from semsynth.methods.base import Batch, Method, count_as_one_step, require_unused_parameters
from semsynth.methods.clvae_adversaries import Kind, build_adversary
from semsynth.networks.clvae.encoder import Posterior, draw_class, rows_of, rows_present
from semsynth.networks.clvae.family import build_networks
from semsynth.networks.clvae.layouts import one_hot
from semsynth.networks.clvae.spectral import initialise
from semsynth.networks.clvae.style_codes import (
    Fill,
    StyleCodes,
    StyleError,
    choose,
    complete,
    paste_back,
    replace_codes,
)
from semsynth.networks.noise import hash_int64, seeded_normal
from semsynth.networks.recolouring import recolour
from semsynth.networks.vgg import VGGFeatures
from semsynth.weights.backbones import load_backbone
from semsynth.weights.conversion import read_pretrained

UNET_WEIGHTS = (1.0, 1.0, 1.0)
KL_BATCH = 4  # the released code sums the KL over a batch, of four samples; here it is a batch mean


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
        perceptual: Network whose features the perceptual loss compares: the paper's VGG-19, a
            VGG-16 that sees images normalised as on ImageNet, or a toy segmenter.
        perceptual_weight: Weight of the perceptual loss; 0 needs no network.
        feature_matching_weight: Weight of the discriminator's feature matching.
        kl_weight: Weight of the KL term, as summed over the paper's batch of four.
        kl_norm: Divide the classes' KL by those present at the level, or in the mask (eq. 18).
        lr_g: Learning rate of generator and encoder.
        lr_d: Learning rate of the discriminator.
        betas: Adam's decay rates.
        constant_epochs: Epochs before the learning rate falls.
        decay_epochs: Epochs over which it falls linearly to 0; 0 keeps it constant.
        init: Initial weights as upstream gets them on a GPU (PyTorch's default in convolutions with
            spectral normalisation), or Xavier with gain 0.02 everywhere.
        fresh_fake_for_d: Draw new images for the discriminator's step, as upstream does.
        accumulate_grad_batches: Batches whose gradients are averaged for one step.
        architecture: CLVAE's networks, or those of a rival without a global code: GroupDNet (SMIS,
            Zhu et al., CVPR 2020), or INADE (Tan et al., CVPR 2021), whose noise has ``code_dim``.
        discriminator: Patches under their layout, as in SPADE; or without feature matching, the
            segmentation of OASIS (Sushko et al., ICLR 2021), or one on a frozen ``pretrained``
            backbone, after DP-SIMS (Berrada et al., CVPR 2024).
        label_mix_weight: Weight of OASIS's consistency on mixed images; 0 turns it off.
        backbone: Pretrained backbone: ``toy_street``, ``toy_portrait``, the path of a segmenter, or
            ``timm:MODEL``.
        contrastive_weight: Weight of the contrastive loss of the backbone's features.
        diversity_weight: Weight of the loss of pairs of samples that differ less than by the
            margin; half of the images to judge are then samples, not reconstructions. Needs a
            discriminator without feature matching; 0 turns it off.
        diversity_margin: Mean absolute difference of two samples of a label map, in [-1, 1].
        instances_per_class: Number of instances per class with separate codes; above 1 the data
            must have instance maps. Not in the paper, like the next four.
        code_last_blocks: The blocks at full resolution read the finest codes, not the mask.
        coupled_prior: Learn a prior of the local codes that depends on the global code.
        recolour: Strength, up to 1, of random colours for each class in each step, for few photos.
        checkpointing: Recompute the generator's blocks in the backward pass: less memory.
    """

    frozen = ("perceptual_loss", "discriminator.backbone")

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
        perceptual: Literal["vgg19", "vgg16", "toy_street", "toy_portrait"] = "vgg19",
        perceptual_weight: float = 10.0,
        feature_matching_weight: float = 10.0,
        kl_weight: float = 0.05,
        kl_norm: Literal["level", "mask"] = "level",
        lr_g: float = 1e-4,
        lr_d: float = 4e-4,
        betas: tuple[float, float] = (0.0, 0.9),
        constant_epochs: int = 100,
        decay_epochs: int = 100,
        init: Literal["upstream_gpu", "xavier"] = "upstream_gpu",
        fresh_fake_for_d: bool = True,
        accumulate_grad_batches: int = 1,
        architecture: Literal["clvae", "groupdnet", "inade"] = "clvae",
        discriminator: Kind = "patch",
        label_mix_weight: float = 10.0,
        backbone: str = "timm:tf_efficientnet_lite0",
        contrastive_weight: float = 1.0,
        diversity_weight: float = 0.0,
        diversity_margin: float = 0.2,
        instances_per_class: int = 1,
        code_last_blocks: bool = False,
        coupled_prior: bool = False,
        recolour: float = 0.0,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        require_positive(
            num_classes=num_classes,
            channels=channels,
            discriminator_channels=discriminator_channels,
            spade_channels=spade_channels,
            z_dim=z_dim,
            code_dim=code_dim,
            encoder_size=encoder_size,
            accumulate_grad_batches=accumulate_grad_batches,
            instances_per_class=instances_per_class,
        )
        require_not_negative(
            lr_g=lr_g,
            lr_d=lr_d,
            perceptual_weight=perceptual_weight,
            feature_matching_weight=feature_matching_weight,
            kl_weight=kl_weight,
            label_mix_weight=label_mix_weight,
            contrastive_weight=contrastive_weight,
            diversity_weight=diversity_weight,
            diversity_margin=diversity_margin,
        )
        if diversity_weight and discriminator == "patch":
            raise ValueError(
                "diversity_weight needs --model.discriminator segmentation or pretrained: feature "
                "matching pulls all samples of a label map towards its photo."
            )
        self.automatic_optimization = False
        self.num_classes = num_classes
        self.perceptual = perceptual
        self.perceptual_weight = perceptual_weight
        self.kl_weight = kl_weight * KL_BATCH
        self.kl_norm = kl_norm
        self.lr_g, self.lr_d, self.betas = lr_g, lr_d, betas
        self.constant_epochs, self.decay_epochs = constant_epochs, decay_epochs
        self.fresh_fake_for_d = fresh_fake_for_d
        self.accumulate_grad_batches = accumulate_grad_batches
        self.waiting: list[Batch] = []
        self.perceptual_loss: PerceptualLoss | None = None
        self.absent: tuple[str, ...] = ()  # networks that an imported checkpoint lacks
        self.instances_per_class = instances_per_class
        self.recolour = recolour
        self.backbone = backbone
        self.diversity_weight, self.diversity_margin = diversity_weight, diversity_margin
        size = (image_size[0], image_size[1])  # a list, if it comes from YAML
        self.encoder: Any
        self.generator: Any
        self.encoder, self.generator = build_networks(
            architecture,
            num_classes=num_classes,
            image_size=size,
            channels=channels,
            upsampling=upsampling,
            spade_channels=spade_channels,
            z_dim=z_dim,
            code_dim=code_dim,
            num_levels=num_levels,
            class_wise=class_wise,
            layer_wise=layer_wise,
            encoder_size=encoder_size,
            instances_per_class=instances_per_class,
            code_last_blocks=code_last_blocks,
            coupled_prior=coupled_prior,
            checkpointing=checkpointing,
        )
        self.code_shape: tuple[int, int, int] = self.generator.code_shape
        self.discriminator: nn.Module
        self.adversary: Adversary
        self.discriminator, self.adversary = build_adversary(
            discriminator,
            num_classes,
            size,
            discriminator_channels,
            backbone,
            feature_matching_weight=feature_matching_weight,
            label_mix_weight=label_mix_weight,
            contrastive_weight=contrastive_weight,
        )
        for network in (self.encoder, self.generator, self.discriminator):
            initialise(network, init)
        self.to(memory_format=torch.channels_last)  # a quarter faster, on CPU and under bf16

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the initial weights of networks that an imported checkpoint lacks."""
        super().on_load_checkpoint(checkpoint)
        self.absent = tuple(checkpoint.get("absent_networks", ()))
        own = {k: v for k, v in self.state_dict().items() if k.split(".")[0] in self.absent}
        checkpoint["state_dict"].update(own)

    def setup(self, stage: str) -> None:
        """Check the strategy and load the perceptual network before any work is done."""
        if stage != "fit":
            return
        require_unused_parameters(self.trainer.strategy)
        if self.perceptual_weight and self.perceptual_loss is None:
            self.perceptual_loss = self._build_perceptual_loss()
        if isinstance(self.adversary, BackboneAdversary):
            load_backbone(self.backbone, self.discriminator.get_submodule("backbone"))

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LambdaLR]]:
        """Adam for generator and encoder together, Adam for the discriminator."""
        generative = [*self.generator.parameters(), *self.encoder.parameters()]
        judging = [p for p in self.discriminator.parameters() if p.requires_grad]
        optimizers: list[Optimizer] = [
            Adam(generative, self.lr_g, self.betas, fused=True),
            Adam(judging, self.lr_d, self.betas, fused=True),
        ]
        return optimizers, [LambdaLR(o, self.lr_factor) for o in optimizers]

    def lr_factor(self, epoch: int) -> float:
        """Factor of the learning rates in an epoch, counted from 0."""
        if not self.decay_epochs:
            return 1.0
        return min(1.0, max(0.0, 1 - (epoch - self.constant_epochs) / self.decay_epochs))

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One step of generator and encoder, then one of the discriminator, on the same batches."""
        if self.recolour:
            colours = recolour(batch["image"], batch["mask"], self.num_classes, self.recolour)
            batch = {**batch, "image": colours}
        self.waiting.append(batch)
        if len(self.waiting) < self.accumulate_grad_batches and not self.trainer.is_last_batch:
            return
        batches, self.waiting = self.waiting, []
        opt_g, opt_d = self.optimizers()  # type: ignore[attr-defined]  # a list of two
        count_as_one_step([opt_d])
        losses, fakes = self.step_generator(batches, opt_g)
        loss_d = self.step_discriminator(batches, fakes, opt_d)
        self.log("train/loss_g", sum(losses.values()), prog_bar=True)
        self.log_dict({f"train/{k}": v for k, v in (losses | {"loss_d": loss_d}).items()})

    def step_generator(
        self, batches: list[Batch], optimizer: LightningOptimizer
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Update generator and encoder; return the terms of their loss and the images."""
        self.toggle_optimizer(optimizer)
        optimizer.zero_grad()
        terms, fakes = [], []
        for batch in batches:
            fake, posterior = self.reconstruct(batch)
            pairs = self.sample_pairs(batch) if self.diversity_weight else None
            judged = some_from_prior(fake, pairs)
            layout = one_hot(batch["mask"], self.num_classes)
            losses = self.generator_losses(batch, layout, fake, posterior, judged)
            if pairs is not None:
                loss = diversity_loss(pairs, self.diversity_margin)
                losses["diversity"] = self.diversity_weight * loss
            self.manual_backward(torch.stack(list(losses.values())).sum() / len(batches))
            terms.append(losses)
            fakes.append(judged.detach())
        optimizer.step()
        self.untoggle_optimizer(optimizer)
        means = {name: torch.stack([t[name].detach() for t in terms]).mean() for name in terms[0]}
        return means, fakes

    def step_discriminator(
        self, batches: list[Batch], fakes: list[Tensor], optimizer: LightningOptimizer
    ) -> Tensor:
        """Update the discriminator, by default on new fake images; return its loss."""
        self.toggle_optimizer(optimizer)
        optimizer.zero_grad()
        losses = []
        for batch, fake in zip(batches, fakes, strict=True):
            if self.fresh_fake_for_d:
                with torch.no_grad():
                    fake, _ = self.reconstruct(batch)
                    if self.diversity_weight:
                        fake = some_from_prior(fake, self.sample_pairs(batch))
            layout = one_hot(batch["mask"], self.num_classes)
            loss = self.discriminator_loss(batch, layout, fake)
            self.manual_backward(loss / len(batches))
            losses.append(loss.detach())
        optimizer.step()
        self.untoggle_optimizer(optimizer)
        return torch.stack(losses).mean()

    def on_train_epoch_end(self) -> None:
        """Advance the learning rates; Lightning leaves this to manual optimisation."""
        for scheduler in self.lr_schedulers():  # type: ignore[union-attr]  # a list of two
            scheduler.step()

    def reconstruct(self, batch: Batch) -> tuple[Tensor, Posterior]:
        """Encode the images, draw codes from the posterior, and decode them under their masks."""
        posterior = self.encoder(batch["image"], batch["mask"], batch.get("instance"))
        z_global = draw(posterior.mu_global, posterior.logvar_global)
        if (prior := self.prior_of(z_global)) is not None:
            there = posterior.present[..., None]
            codes = (posterior.mu, posterior.logvar)
            mu, logvar = (torch.where(there, q, p) for q, p in zip(codes, prior, strict=True))
            posterior = posterior._replace(mu=mu, logvar=logvar, prior=prior)
        z_local = draw(posterior.mu, posterior.logvar)  # from the prior for absent classes
        return self.decode(batch, z_global, z_local), posterior

    def decode(self, batch: Batch, z_global: Tensor, z_local: Tensor) -> Tensor:
        """Images (B, 3, H, W) of codes under the masks, and instances, of a batch."""
        return self.generator(batch["mask"], z_global, z_local, batch.get("instance"))

    def prior_of(self, z_global: Tensor) -> tuple[Tensor, Tensor] | None:
        """Means and log-variances (B, L, K, N) of the local codes' prior; None for N(0, 1)."""
        prior = getattr(self.generator, "code_prior", None)
        return None if prior is None else prior(z_global)

    def sample_pairs(self, batch: Batch) -> Tensor:
        """Two samples of the prior (n, 2, 3, H, W) for each of the first half of the label maps."""
        n = max(len(batch["mask"]) // 2, 1)
        twice: Batch = {k: batch[k][:n].repeat(2, 1, 1) for k in ("mask", "instance") if k in batch}
        codes = self.sample(torch.randint(1 << 62, (2 * n,), device=self.device))
        images = self.decode(twice, codes.z_global, codes.z_local)
        return images.unflatten(0, (2, n)).transpose(0, 1)

    def generator_losses(
        self,
        batch: Batch,
        layout: Tensor,
        fake: Tensor,
        posterior: Posterior,
        judged: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Weighted terms of the loss of generator and encoder.

        ``fake`` (B, 3, H, W) are reconstructions; the discriminator sees ``judged`` if given.
        """
        judged = fake if judged is None else judged
        losses = self.adversary.generator_terms(
            self.discriminator, layout, batch["mask"], judged, batch["image"]
        )
        if isinstance(self.adversary, BackboneAdversary):
            losses |= self.adversary.reconstruction_terms(self.discriminator, fake, batch["image"])
        losses["kl"] = self.kl_weight * self.kl(posterior, batch).mean()
        if self.perceptual_loss is not None:
            losses["perceptual"] = self.perceptual_weight * self.perceptual_loss(
                fake, batch["image"], batch.get("loss_mask")
            )
        return losses

    def discriminator_loss(self, batch: Batch, layout: Tensor, fake: Tensor) -> Tensor:
        """Loss of the discriminator on real and generated images."""
        return self.adversary.discriminator_loss(
            self.discriminator, layout, batch["mask"], fake, batch["image"]
        )

    def kl(self, posterior: Posterior, batch: Batch) -> Tensor:
        """Divergence of the posterior from the prior, global and local (B,)."""
        normaliser = posterior.present.sum(2)  # (B, L)
        if self.kl_norm == "mask" and posterior.present.shape[2] > 1:
            normaliser = self.rows_present(batch).sum(1, keepdim=True)
        codes = (posterior.mu, posterior.logvar, posterior.present)
        local = class_layer_kl(*codes, normaliser, posterior.prior)
        return kl_divergence(posterior.mu_global, posterior.logvar_global) + local

    def rows_present(self, batch: Batch) -> Tensor:
        """Which rows of codes a pixel of the masks reads (B, K), bool."""
        per_class = self.instances_per_class
        rows = rows_of(batch["mask"], batch.get("instance"), self.num_classes, per_class)
        return rows_present(rows, self.num_classes * per_class)

    def sample(self, seed: Tensor, z_global: Tensor | None = None) -> StyleCodes:
        """Codes drawn from the prior by seeds (B,), with global codes (B, z_dim) to keep if given.

        All classes and levels are drawn, so the codes of a class do not depend on the mask.
        """
        L, K, N = self.code_shape
        z_dim = self.generator.z_dim
        drawn, z_local = seeded_normal(seed, z_dim + L * K * N).split([z_dim, L * K * N], dim=1)
        z_global = drawn if z_global is None else z_global
        z_local = z_local.reshape(len(seed), L, K, N)
        if (prior := self.prior_of(z_global)) is not None:
            z_local = prior[0] + (0.5 * prior[1]).exp() * z_local
        return StyleCodes(z_global, z_local, z_local.new_zeros(len(seed), L, K, dtype=torch.bool))

    def encode(self, batch: Batch, seed: Tensor | None = None) -> StyleCodes:
        """Codes of images under their masks: the posterior's means, or samples by seeds (B,)."""
        if "encoder" in self.absent:
            raise StyleError(
                "The checkpoint has no encoder; import it again with "
                "*_net_E.pth beside the generator's file."
            )
        posterior = self.encoder(batch["image"], batch["mask"], batch.get("instance"))
        z_global, z_local = posterior.mu_global, posterior.mu
        if seed is not None:
            noise = self.sample(seed)
            z_global = z_global + (0.5 * posterior.logvar_global).exp() * noise.z_global
            z_local = z_local + (0.5 * posterior.logvar).exp() * noise.z_local
        return StyleCodes(z_global, z_local, posterior.present)

    def supply(self, batch: Batch, names: Collection[str]) -> dict[str, Any]:
        """Reconstructions by the mean codes, and images with some codes resampled."""
        supplied: dict[str, Any] = {}
        if "reconstruction" in names and "image" in batch:
            codes = self.encode(batch)
            supplied["reconstruction"] = self.decode(batch, codes.z_global, codes.z_local).float()
        if "varied" in names:
            supplied |= self.varied(batch, names)
        if "variations" in names:
            supplied["variations"] = self.variations(batch)
        return supplied

    def where(
        self, classes: Sequence[int] | None = None, levels: Sequence[int] | None = None
    ) -> Tensor:
        """Mask (1, L, K, 1) of the local codes of some classes on some levels."""
        if classes is not None and self.code_shape[1] == 1:
            raise StyleError("This model has one code for all classes; omit classes.")
        per_class = self.instances_per_class
        return choose(self.code_shape, classes, levels, per_class=per_class, device=self.device)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] for ``mask``, with codes drawn by ``seed`` (B,).

        With ``style``, codes come from an image instead (see ``styled``).
        """
        seed = batch.get("seed")
        if seed is None:
            seed = torch.randint(1 << 62, (len(batch["mask"]),), device=self.device)
        if "style" in batch:
            return self.styled({**batch, "seed": seed}, **batch["style"])
        codes = self.sample(seed)
        return self.decode(batch, codes.z_global, codes.z_local)

    def styled(
        self,
        batch: Batch,
        reference: Batch | None = None,
        classes: Sequence[int] | None = None,
        levels: Sequence[int] | None = None,
        fill: Fill = "zero",
        keep: bool = False,
    ) -> Tensor:
        """Images in the style of a reference, or the batch's own with some codes resampled.

        Args:
            batch: ``mask`` and ``seed``; ``image`` too without a reference, or to keep pixels.
            reference: ``image`` and ``mask`` of one image that gives the chosen codes, others are
                drawn. Without it the chosen codes are drawn, others are the batch's own.
            classes: Chosen classes; all if not given.
            levels: Chosen levels, 0 for the finest; all if not given.
            fill: Codes of classes of the reference that are too small for a level.
            keep: Restore the batch's own pixels outside the chosen classes.
        """
        if (reference is None or keep) and "image" not in batch:
            raise StyleError(
                "Without images there are no codes or pixels to keep; predict data with images, "
                "or give a reference and keep no pixels."
            )
        if keep and classes is None:
            raise StyleError("keep restores pixels outside of classes; give the classes to edit.")
        where = self.where(classes, levels)
        own = self.encode(batch if reference is None else reference)
        own = own if reference is None else own.expand(len(batch["mask"]))
        drawn = self.sample(batch["seed"], own.z_global)
        own = complete(own, drawn, fill)
        kept, taken = (own, drawn) if reference is None else (drawn, own)
        codes = replace_codes(kept, taken, where)
        fake = self.decode(batch, codes.z_global, codes.z_local)
        return paste_back(fake, batch["image"], batch["mask"], classes or ()) if keep else fake

    def variations(self, batch: Batch) -> dict[str, Tensor]:
        """Resample the largest class, the finest and the coarsest level, each separately."""
        L, K, _ = self.code_shape
        chosen: dict[str, Tensor] = {}
        if K > 1:
            largest = one_hot(batch["mask"], self.num_classes).sum((2, 3)).argmax(1)
            chosen["one_class"] = self.rows_of_class(largest)
        if L > 1:
            chosen["finest_level"] = self.where(levels=[0])
            chosen["coarsest_level"] = self.where(levels=[L - 1])
        return {name: self.redrawn(batch, where) for name, where in chosen.items()}

    def varied(self, batch: Batch, names: Collection[str]) -> dict[str, Tensor]:
        """Images that differ in the code of a random class of each mask, or in the only code."""
        L, K, _ = self.code_shape
        varied_class = draw_class(batch["mask"], batch["seed"], self.num_classes)
        where = self.rows_of_class(varied_class) if K > 1 else None
        levels = [self.where(levels=[i]) for i in range(L)]
        places = {"varied": where} | {
            f"varied_level{i}": level if where is None else where & level
            for i, level in enumerate(levels)
        }
        images = {n: self.redrawn(batch, place) for n, place in places.items() if n in names}
        return images | {"varied_class": varied_class}

    def rows_of_class(self, of_each: Tensor) -> Tensor:
        """Mask (B, 1, K, 1) of the codes of one class (B,) in each image."""
        rows = F.one_hot(of_each, self.num_classes).repeat_interleave(self.instances_per_class, 1)
        return rows.bool()[:, None, :, None]

    def redrawn(self, batch: Batch, where: Tensor | None) -> Tensor:
        """Images (B, num_samples, 3, H, W), codes resampled at ``where`` (B, L, K, 1) or all."""
        codes = self.sample(batch["seed"])
        images = []
        for i in range(batch["num_samples"]):
            seed = hash_int64(batch["seed"] + i + 1)
            if where is None:
                edited = self.sample(seed)
            else:
                edited = replace_codes(codes, self.sample(seed, codes.z_global), where)
            images.append(self.decode(batch, edited.z_global, edited.z_local).float())
        return torch.stack(images, dim=1)

    def _build_perceptual_loss(self) -> PerceptualLoss:
        if self.perceptual not in ("vgg16", "vgg19"):
            return PerceptualLoss(weights.load_segmenter(self.perceptual), UNET_WEIGHTS)
        path = weights.find(
            self.perceptual,
            f"The perceptual loss (model.perceptual: {self.perceptual})",
            "--model.perceptual_weight 0",
        )
        return PerceptualLoss(VGGFeatures(self.perceptual).load(read_pretrained(path)))


def some_from_prior(fake: Tensor, pairs: Tensor | None) -> Tensor:
    """Reconstructions (B, 3, H, W), the first of them replaced by one of each pair of samples."""
    return fake if pairs is None else torch.cat([pairs[:, 0], fake[len(pairs) :]])


def draw(mu: Tensor, logvar: Tensor) -> Tensor:
    """A sample of N(mu, exp(logvar)), differentiable in both."""
    return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
