"""StyleGAN2 (Karras et al., CVPR 2020, https://arxiv.org/abs/1912.04958): the prior of two methods.

With adaptive discriminator augmentation (Karras et al., NeurIPS 2020,
https://arxiv.org/abs/2006.06676) for small data sets.
"""

from collections.abc import Collection
from typing import Any, Literal

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning_utilities.core.rank_zero import rank_zero_warn
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from semsynth.errors import require_not_negative, require_positive
from semsynth.losses.losses import (
    gradient_penalty,
    nonsaturating_loss_d,
    nonsaturating_loss_g,
    path_lengths,
    relativistic_loss_d,
    relativistic_loss_g,
)
from semsynth.methods.base import Batch, Method, count_as_one_step, require_unused_parameters
from semsynth.networks.noise import sample_seed, seeded_normal
from semsynth.networks.stylegan2.ada import AdaptiveAugment, Pipe
from semsynth.networks.stylegan2.discriminator import StyleGAN2Discriminator
from semsynth.networks.stylegan2.generator import StyleGAN2Generator, mix_styles
from semsynth.weights.cards import require_same_shapes
from semsynth.weights.priors import load_discriminator, load_generator

MEAN_LATENT_DECAY = 0.995  # a step, of the released training code


class StyleGAN2(Method):
    """Images without labels from Gaussian latents.

    The defaults are the paper's config-f for one batch of 32. Average the weights with the callback
    ``GeneratorEMA``: the images of the averaged generator are the method's results.

    Args:
        image_size: Height and width, equal and a power of two from 16 to 1024.
        z_dim: Length of z.
        w_dim: Length of w.
        mapping_layers: Linear layers of the mapping network.
        channel_base: Channels times resolution, where ``channel_max`` does not limit them.
        channel_max: Maximum channels of a layer.
        group_size: Samples among which the discriminator compares standard deviations.
        lr_g: Learning rate of the generator.
        lr_d: Learning rate of the discriminator.
        betas: Adam's decay rates.
        loss: Logistic loss with R1, or R3GAN's (https://arxiv.org/abs/2501.05441), which compares
            real and generated images in pairs and adds R2, the penalty at generated images. Its
            paper sets ``r1_interval`` to 1 and ``path_length_weight`` and ``style_mixing`` to 0.
        r1_weight: Weight of the R1 and R2 penalties, gamma in the papers; its half multiplies them.
        r1_interval: Steps between these penalties, which are scaled up by as much.
        path_length_weight: Weight of path length regularisation; 0 turns it off.
        path_length_interval: Steps between path length penalties.
        style_mixing: Probability of drawing an image from two latents.
        truncation: Truncation of the images in evaluation and prediction; 1 is none.
        augment: Augmentation of all that the discriminator sees, for small data sets: ``none``,
            ``ada`` with an adaptive probability, or ``fixed`` with ``augment_p``.
        augment_pipe: Kinds of augmentation: ``b`` flips, turns and shifts by whole pixels, ``bg``
            also scales, rotates, stretches and shifts, ``bgc`` also changes colours.
        augment_p: Probability of each augmentation; initial one with ``ada``.
        ada_target: Average sign of the logits of real images at which the probability stays.
        ada_kimg: Thousands of images in which the probability could go from 0 to 1; 100 when
            fine-tuning.
        init_from: Prior to fine-tune, of the same architecture: a name, or an imported file.
    """

    path_length_mean: Tensor
    uses_masks = False

    def __init__(
        self,
        image_size: tuple[int, int] = (256, 256),
        z_dim: int = 512,
        w_dim: int = 512,
        mapping_layers: int = 8,
        channel_base: int = 32768,
        channel_max: int = 512,
        group_size: int = 4,
        lr_g: float = 0.002,
        lr_d: float = 0.002,
        betas: tuple[float, float] = (0.0, 0.99),
        loss: Literal["nonsaturating", "relativistic"] = "nonsaturating",
        r1_weight: float = 10.0,
        r1_interval: int = 16,
        path_length_weight: float = 2.0,
        path_length_interval: int = 4,
        style_mixing: float = 0.9,
        truncation: float = 1.0,
        augment: Literal["none", "ada", "fixed"] = "none",
        augment_pipe: Pipe = "bgc",
        augment_p: float = 0.0,
        ada_target: float = 0.6,
        ada_kimg: float = 500.0,
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        require_positive(
            z_dim=z_dim,
            w_dim=w_dim,
            mapping_layers=mapping_layers,
            channel_base=channel_base,
            channel_max=channel_max,
            group_size=group_size,
            r1_interval=r1_interval,
            path_length_interval=path_length_interval,
        )
        require_not_negative(
            lr_g=lr_g,
            lr_d=lr_d,
            r1_weight=r1_weight,
            path_length_weight=path_length_weight,
            augment_p=augment_p,
            ada_kimg=ada_kimg,
        )
        self.automatic_optimization = False
        if image_size[0] != image_size[1]:
            raise ValueError(f"StyleGAN2 makes square images, got image_size {tuple(image_size)}.")
        self.lr_g, self.lr_d, self.betas = lr_g, lr_d, betas
        self.loss, self.r1_weight, self.r1_interval = loss, r1_weight, r1_interval
        self.path_length_weight = path_length_weight
        self.path_length_interval = path_length_interval
        self.style_mixing = style_mixing
        self.truncation = truncation
        width = (channel_base, channel_max)
        self.generator = StyleGAN2Generator(image_size[0], z_dim, w_dim, mapping_layers, *width)
        self.discriminator = StyleGAN2Discriminator(image_size[0], *width, group_size)
        if (augment == "none" and augment_p) or (augment == "fixed" and not augment_p):
            raise ValueError(
                f"augment: {augment} is incompatible with augment_p: {augment_p}. Use ada or fixed "
                "for a probability above 0, and none for no augmentation."
            )
        self.init_from = init_from
        self.augment = augment
        if augment != "none":
            self.augmentation = AdaptiveAugment(augment_pipe, augment_p, ada_target, ada_kimg)
        self.register_buffer("path_length_mean", torch.zeros(()))
        self.to(memory_format=torch.channels_last)

    def setup(self, stage: str) -> None:
        """Check the strategy and load the prior, and its discriminator, before any work is done."""
        if stage != "fit":
            return
        require_unused_parameters(self.trainer.strategy)
        self.seed = torch.initial_seed() % (1 << 62)
        if self.init_from is not None and self.trainer.ckpt_path is None:
            load_into(self.generator, load_generator(self.init_from), self.init_from)
            if (discriminator := load_discriminator(self.init_from)) is not None:
                load_into(self.discriminator, discriminator, self.init_from)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let a training without augmentation resume with it, and the reverse."""
        super().on_load_checkpoint(checkpoint)
        weights, part = checkpoint["state_dict"], "augmentation."
        own = {k: v for k, v in self.state_dict().items() if k.startswith(part)}
        kept = {k: v for k, v in weights.items() if k in own or not k.startswith(part)}
        checkpoint["state_dict"] = own | kept
        if missing := own.keys() - weights.keys():
            rank_zero_warn(
                f"The checkpoint was trained without augmentation ({len(missing)} values are "
                "missing); its probability starts at model.augment_p."
            )

    def configure_optimizers(self) -> list[Optimizer]:
        """Adam for each network, corrected for the steps that regularisation adds."""
        interval = self.path_length_interval if self.path_length_weight else 0
        return [
            lazy_adam(self.generator, self.lr_g, self.betas, interval),
            lazy_adam(self.discriminator, self.lr_d, self.betas, self.r1_interval),
        ]

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One step of the discriminator and one of the generator, each at times regularised."""
        opt_g, opt_d = self.optimizers()  # type: ignore[attr-defined]  # a list of two
        count_as_one_step([opt_d])
        step, real = self.global_step, batch["image"]
        with torch.no_grad():
            fake = self.generator.synthesis(self.draw_latents(len(real), step, 0), "random")
        losses = {"loss_d": self.step_discriminator(real, fake, opt_d, step)}
        if step % self.r1_interval == 0:
            losses |= self.step_penalties(real, fake, opt_d, step)
        losses["loss_g"] = self.step_generator(real, opt_g, step)
        if self.path_length_weight and step % self.path_length_interval == 0:
            count_as_one_step([opt_g])  # its step above has been counted
            losses["path_length"] = self.step_path_length(max(len(real) // 2, 1), opt_g, step)
        if self.augment != "none":
            losses["augment_p"] = self.augmentation.p.clone()
        self.log_dict({f"train/{name}": loss for name, loss in losses.items()}, prog_bar=True)

    def step_discriminator(
        self, real: Tensor, fake: Tensor, optimizer: LightningOptimizer, step: int
    ) -> Tensor:
        """Train the discriminator; return the loss."""
        self.toggle_optimizer(optimizer)
        real_logits, fake_logits = self.judge(real, step, 0), self.judge(fake, step, 1)
        loss_of = {"nonsaturating": nonsaturating_loss_d, "relativistic": relativistic_loss_d}
        loss = loss_of[self.loss](real_logits, fake_logits)
        self._update(loss, optimizer)
        if self.augment == "ada":
            # Only differences of logits have a meaning under the relativistic loss.
            origin = fake_logits if self.loss == "relativistic" else 0
            self.augmentation.update(real_logits - origin, self._sum_over_processes)
        return loss.detach()

    def step_penalties(
        self, real: Tensor, fake: Tensor, optimizer: LightningOptimizer, step: int
    ) -> dict[str, Tensor]:
        """Flatten the discriminator at images, real ones or both; return the mean penalties."""
        self.toggle_optimizer(optimizer)
        images = {"r1": real} | ({"r2": fake} if self.loss == "relativistic" else {})
        # The gradient at the images before they are augmented, as in the released code.
        penalties = {
            name: gradient_penalty(lambda x: self.judge(x, step, 2), image).mean()
            for name, image in images.items()
        }
        total = torch.stack(list(penalties.values())).sum()
        self._update(self.r1_weight / 2 * self.r1_interval * total, optimizer)
        return {name: penalty.detach() for name, penalty in penalties.items()}

    def step_generator(self, real: Tensor, optimizer: LightningOptimizer, step: int) -> Tensor:
        """Train the generator; return the loss."""
        self.toggle_optimizer(optimizer)
        w_plus = self.draw_latents(len(real), step, 1, track_mean=True)
        logits = self.judge(self.generator.synthesis(w_plus, "random"), step, 3)
        if self.loss == "relativistic":
            with torch.no_grad():
                real_logits = self.judge(real, step, 0)
            loss = relativistic_loss_g(real_logits, logits)
        else:
            loss = nonsaturating_loss_g(logits)
        self._update(loss, optimizer)
        return loss.detach()

    def step_path_length(self, batch_size: int, optimizer: LightningOptimizer, step: int) -> Tensor:
        """Even out how far images move with their latents; return the mean length."""
        self.toggle_optimizer(optimizer)
        with torch.autocast(self.device.type, enabled=False):
            w_plus = self.draw_latents(batch_size, step, 2)
            image = self.generator.synthesis(w_plus, "random")
            lengths = path_lengths(image, w_plus, torch.randn_like(image))
        length = self.trainer.strategy.reduce(lengths.detach().mean(), reduce_op="mean")
        mean = self.path_length_mean.lerp(torch.as_tensor(length), 0.01)
        self.path_length_mean.copy_(mean)
        penalty = (lengths - mean).square().mean()
        self._update(self.path_length_weight * self.path_length_interval * penalty, optimizer)
        return torch.as_tensor(length)

    def judge(self, image: Tensor, step: int, phase: int) -> Tensor:
        """Logits (B,) of images (B, 3, H, W) as augmented for a phase of a step."""
        if self.augment != "none":
            # Negative draws, for latents have the others.
            image = self.augmentation(image, self.draw_seeds(len(image), -1 - (4 * step + phase)))
        return self.discriminator(image)

    def draw_latents(
        self, batch_size: int, step: int, phase: int, track_mean: bool = False
    ) -> Tensor:
        """Latents (B, num_ws, w_dim) for training, some of them mixed of two."""
        z = seeded_normal(self.draw_seeds(batch_size, 3 * step + phase), 2, self.generator.z_dim)
        w_a, w_b = self.generator.mapping(z).unbind(1)
        if track_mean:
            mean = self.generator.mean_latent
            mean.lerp_(w_a.detach().mean(0), 1 - MEAN_LATENT_DECAY)
        num_ws = self.generator.num_ws
        cut = torch.randint(1, num_ws, (batch_size,), device=self.device)
        mixed = torch.rand(batch_size, device=self.device) < self.style_mixing
        cut = torch.where(mixed, cut, num_ws)
        return mix_styles(self.generator.repeat(w_a), self.generator.repeat(w_b), cut)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] drawn by ``seed`` (B,)."""
        z = seeded_normal(batch["seed"], self.generator.z_dim)
        return self.generator(z, self.truncation).clamp(-1, 1)

    def supply(self, batch: Batch, names: Collection[str]) -> dict[str, Any]:
        """Truncation from 0 to 1, the way to the next sample, and finer styles of other samples."""
        if "variations" not in names:
            return {}
        G = self.generator
        w = G.mapping(seeded_normal(batch["seed"], G.z_dim))  # (B, w_dim)
        B, n = len(w), batch["num_samples"]
        other = sample_seed(1, torch.arange(n, device=w.device))
        finer = G.repeat(G.mapping(seeded_normal(other, G.z_dim))).repeat(B, 1, 1)
        coarse = G.repeat(w).repeat_interleave(n, 0)
        halves = torch.full((B * n,), G.num_ws // 2, device=w.device)
        t = torch.linspace(0, 1, n, device=w.device)[:, None]
        chosen = {
            "truncation": G.repeat(G.mean_latent.lerp(w[:, None], t).flatten(0, 1)),
            "interpolation": G.repeat(w[:, None].lerp(w.roll(1, 0)[:, None], t).flatten(0, 1)),
            "style_mixing": mix_styles(coarse, finer, halves),
        }
        series = {
            name: G.synthesis(w_plus).clamp(-1, 1).unflatten(0, (B, n))
            for name, w_plus in chosen.items()
        }
        return {"variations": series}

    def _sum_over_processes(self, tensor: Tensor) -> Tensor:
        # Not by strategy.reduce, which makes the processes wait for one another at each step.
        return torch.as_tensor(self.all_gather(tensor)).view(-1, *tensor.shape).sum(0)

    def _update(self, loss: Tensor, optimizer: LightningOptimizer) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.untoggle_optimizer(optimizer)


def load_into(network: nn.Module, other: nn.Module, name: str) -> None:
    """Copy weights from a network of the same architecture."""
    remedy = (
        "Give model.image_size, z_dim, w_dim, mapping_layers, channel_base and channel_max as in "
        "its card."
    )
    what = f"The {type(other).__name__} of the prior {name}"
    require_same_shapes(network, other, what, remedy)
    network.load_state_dict(other.state_dict())


def lazy_adam(network: nn.Module, lr: float, betas: tuple[float, float], interval: int) -> Adam:
    """Adam with lr and betas corrected for one extra step at every ``interval``-th (0: never)."""
    c = interval / (interval + 1) if interval else 1.0
    return Adam(network.parameters(), lr * c, (betas[0] ** c, betas[1] ** c), eps=1e-8, fused=True)
