"""What the methods share: evaluation steps, frozen networks, and one count of steps for a GAN."""

from collections.abc import Collection, Iterable, Mapping
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

RETIRED: dict[str, Any] = {
    "compile_backend": None,
    "grid_share": 0.1,
    "kl_ref_batch": 4,
    "label_pooling": "nearest",
    "min_area": 0.01,
    "mix_alpha": 1.0,
    "prototypes_per_class": 1,
    "vgg_norm": "none",
    "w_norm_weight": 0.0,
}
"""Arguments that were removed, with their defaults, which the code now follows. Older checkpoints,
cards and configurations still contain them."""


class Method(LightningModule):
    """A synthesis method: ``predict_step(batch, i)`` returns images (B, 3, H, W) in [-1, 1].

    The same ``batch["seed"]`` (B,) gives the same images on any number of devices.
    """

    seed = 0
    """Seed of the training."""

    frozen: tuple[str, ...] = ()
    """Names of sub-networks with fixed weights, kept out of checkpoints."""

    uses_masks = True
    """Whether the images are drawn for the batch's masks, and belong beside them."""

    trains_on_shots = False
    """Whether a training batch is ``index`` (B,), numbers without meaning, and ``shots``, a batch
    of all labelled samples; else it is some of the labelled samples."""
    takes_style = False
    """Whether ``predict_step`` follows the ``style`` of a batch, given by ``predict --style.*``."""

    def supply(self, batch: Batch, names: Collection[str]) -> dict[str, Tensor]:
        """Further images that metrics ask for, by the names in their ``update``.

        Args:
            batch: A batch with ``seed`` (B,).
            names: What is asked for; what a method does not know it leaves out.

        Returns:
            Images (B, 3, H, W) in [-1, 1] by name.
        """
        return {}

    def draw_seeds(self, batch_size: int, draw: int) -> Tensor:
        """Seeds (B,) of a draw of the training, such as of a step.

        They depend on the training's seed, the draw and the process: no two processes draw the
        same, and a resumed training draws what it would have drawn.
        """
        first = self.global_rank * batch_size
        index = torch.arange(first, first + batch_size, device=self.device)
        return sample_seed(self.seed, index, draw)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Nothing: the ``Evaluation`` callback makes the images and measures them."""

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Nothing, as in validation."""

    def variations(self, batch: Batch, num_images: int) -> dict[str, Tensor]:
        """Series of images that show what a method controls, for the image logger.

        Args:
            batch: A batch with ``seed`` (B,).
            num_images: Images of each series.

        Returns:
            Series (B, num_images, 3, H, W) in [-1, 1] by name.
        """
        return {}

    def vary(self, batch: Batch, num_images: int, level: int) -> dict[str, Tensor]:
        """Images of each mask that differ in the code of one class, for ``ClassDiversity``.

        Args:
            batch: A batch with ``mask`` and ``seed`` (B,).
            num_images: Images of each mask.
            level: The only level at which the code differs, or -1 for all.

        Returns:
            ``varied`` (B, num_images, 3, H, W) in [-1, 1], ``varied_class`` (B,) and
            ``varied_level`` (B,).

        Raises:
            ValueError: The method has no codes of its own for each class, or not at this level.
        """
        raise ValueError(
            f"{type(self).__name__} has no codes of single classes to draw anew; take "
            "ClassDiversity out of evaluation.metrics."
        )

    def edits(self, batch: Batch) -> dict[str, Tensor]:
        """Images before and after edits, for the metrics that judge edits.

        Args:
            batch: A batch with ``seed`` (B,).

        Returns:
            ``image`` and ``edited`` (B, 3, H, W) in [-1, 1], ``points`` (B, K, 2) in pixels (x, y),
            ``motions`` (B, K, 3), flow in pixels and log expansion, and ``points_mask`` (B, K);
            ``landmarks`` and ``edited_landmarks`` (B, C, h, w), the features that drew them.

        Raises:
            ValueError: The method does not edit.
        """
        raise ValueError(
            f"{type(self).__name__} does not edit by marks; take EditingAccuracy and "
            "TrackingAccuracy out of evaluation.metrics."
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the frozen networks out: they are found by name when training goes on."""
        weights = checkpoint["state_dict"]
        for key in [k for k in weights if k.split(".")[0] in self.frozen]:
            del weights[key]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the frozen networks' own weights in, so that loading stays strict."""
        without_retired(checkpoint.get("hyper_parameters", {}))  # Lightning has dropped them
        own = {k: v for k, v in self.state_dict().items() if k.split(".")[0] in self.frozen}
        checkpoint["state_dict"].update(own)


def without_retired(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Drop retired arguments from an older file.

    Raises:
        UserError: One has another value than its default.
    """
    for name in RETIRED.keys() & arguments.keys():
        if arguments[name] != RETIRED[name]:
            raise UserError(
                f"{name} was retired; only its default {RETIRED[name]!r} still works, and here it "
                f"is {arguments[name]!r}. Use the release that wrote the file, or train again "
                "without it."
            )
    return {name: value for name, value in arguments.items() if name not in RETIRED}


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
    """Refuse a DDP strategy that cannot train two networks in turn."""
    if isinstance(strategy, DDPStrategy) and not strategy._ddp_kwargs.get("find_unused_parameters"):
        raise UserError(
            "A GAN trains its networks in turn, and plain DDP fails when one of them gets no "
            "gradient. Use --trainer.strategy ddp_find_unused_parameters_true, or leave it at auto."
        )
