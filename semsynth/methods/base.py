"""What the methods share: evaluation steps, frozen networks, and one count of steps for a GAN."""

from collections.abc import Collection, Iterable
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import Tensor

from semsynth.errors import UserError
from semsynth.networks.clvae.style_codes import StyleError as StyleError
from semsynth.networks.noise import sample_seed

Batch = dict[str, Any]


class Method(LightningModule):
    """A synthesis method: ``predict_step(batch, i)`` returns images (B, 3, H, W) in [-1, 1].

    The same ``batch["seed"]`` (B,) gives the same images on any number of devices.
    """

    frozen: tuple[str, ...] = ()
    """Names of sub-networks with fixed weights, kept out of checkpoints."""

    uses_masks = True
    """Whether the images are drawn for the batch's masks, and belong beside them."""
    seed = 0
    """Seed of the training's own draws."""

    def supply(self, batch: Batch, names: Collection[str]) -> dict[str, Any]:
        """What only the method can make, for metrics and the image logger.

        - ``reconstruction`` (B, 3, H, W): the batch's images, encoded and decoded.
        - ``varied`` (B, n, 3, H, W): images that differ in the code of one class of each mask,
          ``varied_class`` (B,), or for ``varied_level0`` in its code at that level alone.
        - ``edited`` (B, 3, H, W): images after edits, which are ``fake`` then; ``image`` before
          them, their ``marks``, and ``landmarks`` and ``edited_landmarks`` (B, C, h, w), features.
        - ``variations``: series (B, n, 3, H, W) by name, which show what the method controls.

        Args:
            batch: A batch with ``seed`` (B,), and ``num_samples``, the n of series.
            names: What is asked for; what a method does not know it leaves out.

        Returns:
            Values by name; images are in [-1, 1].
        """
        return {}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Nothing: the ``Evaluation`` callback makes the images and measures them."""

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Nothing, as in validation."""

    def draw_seeds(self, batch_size: int, draw: int | None = None) -> Tensor:
        """Seeds (B,) of a draw, by default the one of this step.

        They depend on the training's seed, the draw and the process, so that no two processes draw
        the same and a training that resumes draws what it would have drawn.
        """
        first = self.global_rank * batch_size
        index = torch.arange(first, first + batch_size, device=self.device)
        return sample_seed(self.seed, index, self.global_step if draw is None else draw)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the frozen networks out: they are found by name when training goes on."""
        weights = checkpoint["state_dict"]
        for key in [k for k in weights if k.split(".")[0] in self.frozen]:
            del weights[key]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the frozen networks' own weights in, so that loading stays strict."""
        own = {k: v for k, v in self.state_dict().items() if k.split(".")[0] in self.frozen}
        checkpoint["state_dict"].update(own)


def count_as_one_step(optimizers: Iterable[LightningOptimizer]) -> None:
    """Keep these optimizers from advancing ``trainer.global_step``.

    Lightning counts every ``optimizer.step()``, two a batch in a GAN, and measures ``max_steps``
    and checkpoint intervals by that count. Its loop puts its counting hooks back for each batch,
    so call this in every ``training_step``, for all optimizers but one.
    """
    for optimizer in optimizers:
        optimizer._on_before_step = _do_nothing
        optimizer._on_after_step = _do_nothing


def _do_nothing() -> None:
    pass


def require_unused_parameters(strategy: Strategy) -> None:
    """Refuse a DDP strategy that cannot train two networks in turn.

    Raises:
        UserError: DDP would wait for gradients of the network whose turn it is not.
    """
    if isinstance(strategy, DDPStrategy) and not strategy._ddp_kwargs.get("find_unused_parameters"):
        raise UserError(
            "A GAN trains its networks in turn, and plain DDP fails when one of them gets no "
            "gradient. Use --trainer.strategy ddp_find_unused_parameters_true, or leave it at auto."
        )
