"""Supervised segmentation, for layout fidelity and as a feature extractor."""

from typing import Any, Literal

import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from semsynth import weights
from semsynth.errors import require_not_negative, require_positive
from semsynth.losses.losses import dice_loss
from semsynth.methods.base import FiniteArguments
from semsynth.networks.pair_augmentation import augment_pairs
from semsynth.networks.recolouring import recolour
from semsynth.networks.trunk_unet import Trunk, TrunkUNet, segmentation_network
from semsynth.weights.cards import read_state

Batch = dict[str, Any]


class Segmenter(FiniteArguments):
    """A U-Net trained with cross-entropy.

    Args:
        num_classes: Classes of the masks.
        channels: Channels at full resolution.
        depth: Number of scales, the full resolution included; a trunk has its own.
        trunk: Encoder that a training starts with ImageNet weights for; a small one from random
            weights if not given.
        lr: Largest learning rate of a one-cycle schedule.
        weight_decay: Weight decay of AdamW.
        ignore_index: Mask value of pixels without a label.
        augment: Mirror, shift, rotate, scale and recolour the samples of each step; ``no_mirror``
            where classes distinguish left and right.
        recolour: Strength, up to 1, of random colours for each class of a sample.
        dice_weight: Weight of the soft Dice loss, which finds small classes in fewer steps.
    """

    def __init__(
        self,
        num_classes: int,
        channels: int = 24,
        depth: int = 3,
        trunk: Trunk | None = None,
        lr: float = 3e-3,
        weight_decay: float = 1e-4,
        ignore_index: int = 255,
        augment: Literal["none", "strong", "no_mirror"] = "none",
        recolour: float = 0.0,
        dice_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        require_positive(num_classes=num_classes, channels=channels, depth=depth)
        require_not_negative(lr=lr, weight_decay=weight_decay, dice_weight=dice_weight)
        self.dice_weight = dice_weight
        self.lr, self.weight_decay, self.ignore_index = lr, weight_decay, ignore_index
        self.augment, self.recolour, self.num_classes = augment, recolour, num_classes
        self.trunk = trunk
        self.network = segmentation_network(num_classes, channels, depth, trunk)

    def setup(self, stage: str) -> None:
        """Read the trunk's ImageNet weights; a checkpoint has those of the whole network."""
        if isinstance(self.network, TrunkUNet) and stage == "fit" and not self.trainer.ckpt_path:
            path = weights.find(
                str(self.trunk), f"The trunk (model.trunk: {self.trunk})", "--model.trunk null"
            )
            self.network.load_trunk(read_state(path))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW whose learning rate rises and falls once over the run."""
        optimizer: Optimizer = AdamW(self.parameters(), self.lr, weight_decay=self.weight_decay)
        total = int(self.trainer.estimated_stepping_batches)
        scheduler = OneCycleLR(optimizer, self.lr, total_steps=total)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def forward(self, image: Tensor) -> Tensor:
        """Class logits (B, num_classes, H, W) of images (B, 3, H, W) in [-1, 1]."""
        return self.network(image)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Cross-entropy and Dice loss of the labelled pixels."""
        image, mask = self.augmented(batch["image"], batch["mask"])
        logits = self(image)
        loss = F.cross_entropy(logits, mask, ignore_index=self.ignore_index)
        if self.dice_weight:
            loss = loss + self.dice_weight * dice_loss(logits, mask, self.ignore_index)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def augmented(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) and label maps (B, H, W) as a step sees them."""
        if self.recolour:
            image = recolour(image, mask, self.num_classes, self.recolour)
        if self.augment == "none":
            return image, mask
        return augment_pairs(image, mask, flip=self.augment == "strong")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Nothing: the ``Evaluation`` callback measures, with ``SegmentationQuality``."""

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Nothing, as in validation."""

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Label maps (B, H, W) of ``image``."""
        return self(batch["image"]).argmax(1)
