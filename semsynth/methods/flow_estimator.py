"""Supervised motion: flow and log expansion between two images, for labels of layout editing."""

from collections.abc import Collection
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import OneCycleLR
from torchmetrics import MeanMetric
from torchvision.utils import flow_to_image

from semsynth.errors import require_not_negative, require_positive
from semsynth.methods.base import FiniteArguments
from semsynth.networks.motion.dis import DISMotion
from semsynth.networks.motion.raft import RAFT, Estimates

Batch = dict[str, Any]


class FlowEstimator(FiniteArguments):
    """A small RAFT (Teed & Deng, ECCV 2020, https://arxiv.org/abs/2003.12039) with an expansion.

    Its batches have ``image``, ``target``, ``flow``, ``log_expansion`` and ``valid``. A test also
    measures dense inverse search on the same pairs, as ``test/EPE_dis``.

    Args:
        channels: Channels of the encoder at half the resolution; twice as many at a quarter.
        feature_dim: Channels of the features that are correlated.
        hidden_dim: Channels of the recurrent state.
        context_dim: Channels of the context that each update sees.
        num_levels: Scales of the correlation.
        radius: Cells that the lookup sees in each direction.
        num_updates: Updates of the flow after a global match.
        lr: Largest learning rate of a one-cycle schedule.
        weight_decay: Weight decay of AdamW.
        gamma: Weight of an update's error relative to the next one's.
        expansion_weight: Weight of the error of the log expansion.
    """

    def __init__(
        self,
        channels: int = 16,
        feature_dim: int = 48,
        hidden_dim: int = 48,
        context_dim: int = 24,
        num_levels: int = 3,
        radius: int = 3,
        num_updates: int = 4,
        lr: float = 1e-3,
        weight_decay: float = 1e-4,
        gamma: float = 0.8,
        expansion_weight: float = 10.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        require_positive(
            channels=channels,
            feature_dim=feature_dim,
            hidden_dim=hidden_dim,
            context_dim=context_dim,
            num_levels=num_levels,
            radius=radius,
            num_updates=num_updates,
        )
        require_not_negative(lr=lr, weight_decay=weight_decay, expansion_weight=expansion_weight)
        self.lr, self.weight_decay = lr, weight_decay
        self.gamma, self.expansion_weight = gamma, expansion_weight
        self.network = RAFT(
            channels, feature_dim, hidden_dim, context_dim, num_levels, radius, num_updates
        )
        self.epe, self.epe_dis = MeanMetric(), MeanMetric()
        self.expansion_mae, self.expansion_mae_dis = MeanMetric(), MeanMetric()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW whose learning rate rises and falls once over the run."""
        optimizer: Optimizer = AdamW(self.parameters(), self.lr, weight_decay=self.weight_decay)
        total = int(self.trainer.estimated_stepping_batches)
        scheduler = OneCycleLR(optimizer, self.lr, total_steps=total, pct_start=0.1)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def forward(self, image: Tensor, target: Tensor) -> Estimates:
        """Flow after each update, and log expansion, between images (B, 3, H, W) in [-1, 1]."""
        return self.network(image, target)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Error of flow and expansion where the source is visible in the target."""
        flows, log_expansion = self(batch["image"], batch["target"])
        flow_loss = sequence_loss(flows, batch["flow"], batch["valid"], self.gamma)
        error = (log_expansion - batch["log_expansion"]).abs()
        expansion_loss = masked_mean(error, batch["valid"])
        self.log_dict({"train/flow": flow_loss, "train/expansion": expansion_loss}, prog_bar=True)
        return flow_loss + self.expansion_weight * expansion_loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Errors on the validation split."""
        self._measure(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Errors on the test split, and those of dense inverse search."""
        self._measure(batch, "test")
        motion = DISMotion()(batch["image"], batch["target"])
        self._count(batch, motion.flow, self.epe_dis, "flow", "test/EPE_dis")
        self._count(
            batch,
            motion.log_expansion,
            self.expansion_mae_dis,
            "log_expansion",
            "test/log_expansion_mae_dis",
        )

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The flow drawn as a colour wheel (B, 3, H, W) in [-1, 1], white where nothing moves."""
        return flow_to_image(self(batch["image"], batch["target"]).flows[-1]) / 127.5 - 1

    def supply(self, batch: Batch, names: Collection[str]) -> dict[str, Any]:
        """Target image, true flow and estimated flow, for the image logger."""
        if "variations" not in names:
            return {}
        flow = self(batch["image"], batch["target"]).flows[-1]
        drawn = flow_to_image(torch.cat([batch["flow"], flow])) / 127.5 - 1
        return {"variations": {"flow": torch.stack([batch["target"], *drawn.chunk(2)], 1)}}

    def _measure(self, batch: Batch, stage: str) -> None:
        flows, log_expansion = self(batch["image"], batch["target"])
        self._count(batch, flows[-1], self.epe, "flow", f"{stage}/EPE")
        name = f"{stage}/log_expansion_mae"
        self._count(batch, log_expansion, self.expansion_mae, "log_expansion", name)

    def _count(self, batch: Batch, found: Tensor, metric: MeanMetric, key: str, name: str) -> None:
        error = (found - batch[key]).norm(dim=1, keepdim=True)
        metric.update(error, batch["valid"].float())
        self.log(name, metric, on_step=False, on_epoch=True, prog_bar=True)


def sequence_loss(flows: Tensor, flow: Tensor, valid: Tensor, gamma: float) -> Tensor:
    """L1 distance of each update's flow (n, B, 2, H, W) to the true one, where it is valid.

    Update i of n weighs ``gamma ** (n - i)``.
    """
    n = len(flows)
    weights = gamma ** torch.arange(n - 1, -1, -1, dtype=flows.dtype, device=flows.device)
    error = (flows - flow).abs().sum(2, keepdim=True)  # (n, B, 1, H, W)
    return (weights.view(n, 1, 1, 1, 1) * error * valid).sum() / valid.sum().clamp(min=1)


def masked_mean(error: Tensor, valid: Tensor) -> Tensor:
    """Mean of an error over valid pixels, both (B, 1, H, W)."""
    return (error * valid).sum() / valid.sum().clamp(min=1)
