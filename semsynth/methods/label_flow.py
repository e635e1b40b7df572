"""Rectified flow from noise to images under label maps: the rival of the GANs.

Liu et al., "Flow Straight and Fast", ICLR 2023, https://arxiv.org/abs/2209.03003, with
classifier-free guidance (Ho and Salimans, 2022, https://arxiv.org/abs/2207.12598).
"""

from collections.abc import Collection
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam, Optimizer

from semsynth.errors import require_not_negative, require_positive
from semsynth.methods.base import Batch, Method
from semsynth.networks.clvae.encoder import draw_class
from semsynth.networks.clvae.layouts import IGNORE_INDEX, one_hot
from semsynth.networks.noise import hash_int64, seeded_normal
from semsynth.networks.recolouring import recolour
from semsynth.networks.rivals.velocity_unet import VelocityUNet


class LabelFlow(Method):
    """A U-Net that learns the velocity of images on straight lines from noise to data.

    Average the weights with the callback ``GeneratorEMA`` (``network: network``).

    Args:
        num_classes: Classes of the masks.
        image_size: Height and width of the images.
        channels: Channels at full resolution, a multiple of 8.
        depth: Number of scales, the full resolution included.
        spade_channels: Hidden channels of the decoder's modulation.
        lr: Adam's learning rate.
        betas: Adam's decay rates.
        label_dropout: Share of the samples of a step whose label maps are withheld.
        recolour: Strength, up to 1, of random colours for each class in each step, for few photos.
        num_steps: Steps from noise to image.
        solver: Euler's method, or Heun's, which asks the network twice a step.
        guidance: Factor of what the label map changes in the velocity; 1 asks the network once,
            others also without the label map.
    """

    def __init__(
        self,
        num_classes: int,
        image_size: tuple[int, int] = (64, 64),
        channels: int = 16,
        depth: int = 5,
        spade_channels: int = 32,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        label_dropout: float = 0.1,
        recolour: float = 0.0,
        num_steps: int = 20,
        solver: Literal["euler", "heun"] = "euler",
        guidance: float = 1.5,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        require_positive(
            num_classes=num_classes,
            channels=channels,
            depth=depth,
            spade_channels=spade_channels,
            num_steps=num_steps,
        )
        require_not_negative(lr=lr, guidance=guidance)
        if not 0 <= label_dropout < 1:
            raise ValueError(f"label_dropout must be in [0, 1), got {label_dropout}.")
        if any(side % 2 ** (depth - 1) for side in image_size):
            raise ValueError(
                f"image_size must be divisible by {2 ** (depth - 1)} for depth {depth}, got "
                f"{tuple(image_size)}; resize the images or choose another depth."
            )
        self.num_classes = num_classes
        self.lr, self.betas = lr, betas
        self.label_dropout, self.recolour = label_dropout, recolour
        self.num_steps, self.solver, self.guidance = num_steps, solver, guidance
        self.network = VelocityUNet(num_classes, channels, depth, spade_channels)
        self.to(memory_format=torch.channels_last)

    def configure_optimizers(self) -> Optimizer:
        """Adam with a constant learning rate."""
        return Adam(self.network.parameters(), self.lr, self.betas, fused=True)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Squared error of the velocity at random times of the lines from noise to the images."""
        image, mask = batch["image"], batch["mask"]
        if self.recolour:
            image = recolour(image, mask, self.num_classes, self.recolour)
        noise = torch.randn_like(image)
        time = torch.rand(len(image), device=image.device)
        x = torch.lerp(noise, image, time[:, None, None, None])
        withheld = torch.rand(len(image), device=image.device) < self.label_dropout
        mask = mask.masked_fill(withheld[:, None, None], IGNORE_INDEX)
        loss = F.mse_loss(self.network(x, time, mask), image - noise)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] for ``mask``, from noise drawn by ``seed`` (B,)."""
        mask = batch["mask"]
        return self.flow(seeded_normal(batch["seed"], 3, *mask.shape[1:]), mask)

    @torch.no_grad()
    def flow(self, noise: Tensor, mask: Tensor) -> Tensor:
        """Images in [-1, 1] that noise (B, 3, H, W) flows to under label maps (B, H, W)."""
        guided = self.guidance != 1
        masks = torch.cat([mask, torch.full_like(mask, IGNORE_INDEX)]) if guided else mask
        given = self.network.modulations(masks)

        def velocity(x: Tensor, time: float) -> Tensor:
            inputs = torch.cat([x, x]) if guided else x
            found = self.network.velocity(inputs, x.new_full((len(inputs),), time), given)
            if not guided:
                return found
            under, without = found.chunk(2)
            return torch.lerp(without, under, self.guidance)

        x, step = noise, 1 / self.num_steps
        for i in range(self.num_steps):
            v = velocity(x, i * step)
            if self.solver == "heun":
                v = (v + velocity(x + step * v, (i + 1) * step)) / 2
            x = x + step * v
        return x.clamp(-1, 1)

    def supply(self, batch: Batch, names: Collection[str]) -> dict[str, Any]:
        """Images whose noise differs in the pixels of one class: a random or the largest one."""
        supplied: dict[str, Any] = {}
        if "varied" in names:
            chosen = draw_class(batch["mask"], batch["seed"], self.num_classes)
            supplied |= {"varied": self.redrawn(batch, chosen), "varied_class": chosen}
        if "variations" in names:
            largest = one_hot(batch["mask"], self.num_classes).sum((2, 3)).argmax(1)
            supplied["variations"] = {"one_class": self.redrawn(batch, largest)}
        return supplied

    def redrawn(self, batch: Batch, chosen: Tensor) -> Tensor:
        """Images (B, num_samples, 3, H, W), the noise resampled within classes (B,) alone."""
        mask, seed = batch["mask"], batch["seed"]
        inside = (mask == chosen[:, None, None])[:, None]
        shape = (3, *mask.shape[1:])
        images = []
        for i in range(batch["num_samples"]):
            other = seeded_normal(hash_int64(seed + i + 1), *shape)
            noise = torch.where(inside, other, seeded_normal(seed, *shape))
            images.append(self.flow(noise, mask))
        return torch.stack(images, dim=1)
