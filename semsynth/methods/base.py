"""Base class of the methods: evaluation steps, frozen networks, and step counting of GANs."""

import inspect
from collections.abc import Collection, Iterable, Mapping
from types import FrameType
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import Tensor

from semsynth.errors import UserError, check_numbers
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


class FiniteArguments(LightningModule):
    """A LightningModule whose hyperparameters are finite numbers."""

    def save_hyperparameters(self, *args: Any, frame: FrameType | None = None, **kw: Any) -> None:
        """Keep the constructor's arguments; numbers that are no usable ones are refused."""
        caller = inspect.currentframe()
        super().save_hyperparameters(*args, frame=frame or (caller and caller.f_back), **kw)
        check_numbers(dict(self.hparams))


class Method(FiniteArguments):
    """A synthesis method: ``predict_step(batch, i)`` returns images (B, 3, H, W) in [-1, 1].

    The same ``batch["seed"]`` (B,) gives the same images on any number of devices.
    """

    seed = 0
    """Seed of the training."""

    frozen: tuple[str, ...] = ()
    """Names of sub-networks with fixed weights, as ``a`` or ``a.b``, kept out of checkpoints."""

    uses_masks = True
    """Whether the images are generated from the batch's masks, and are shown beside them."""

    def supply(self, batch: Batch, names: Collection[str]) -> dict[str, Any]:
        """Method-specific images for metrics and the image logger.

        - ``reconstruction`` (B, 3, H, W): the batch's images, encoded and decoded.
        - ``varied`` (B, n, 3, H, W): images that differ in the code of one class of each mask,
          ``varied_class`` (B,), or for ``varied_level0`` in its code at that level alone.
        - ``edited`` (B, 3, H, W): images after edits, used as ``fake``; ``image`` before
          them, their ``marks``, and ``landmarks`` and ``edited_landmarks`` (B, C, h, w), features.
        - ``variations``: series (B, n, 3, H, W) by name, which show what the method controls.

        A batch has ``seed`` (B,) and ``num_samples``, the n of series. Images are in [-1, 1];
        unknown names are ignored.
        """
        return {}

    def draw_seeds(self, batch_size: int, draw: int) -> Tensor:
        """Seeds (B,) for one draw in training, such as a step; they differ between processes.

        They depend only on seed, draw and process, so a resumed training repeats them.
        """
        first = self.global_rank * batch_size
        index = torch.arange(first, first + batch_size, device=self.device)
        return sample_seed(self.seed, index, draw)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Nothing: the ``Evaluation`` callback makes the images and measures them."""

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Nothing, as in validation."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the frozen networks out: they are found by name when training resumes."""
        for key in self.frozen_state():
            checkpoint["state_dict"].pop(key, None)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the frozen networks' own weights in, so that loading stays strict."""
        without_retired(checkpoint.get("hyper_parameters", {}))  # Lightning has dropped them
        checkpoint["state_dict"].update(self.frozen_state())

    def frozen_state(self) -> dict[str, Tensor]:
        """State of the frozen networks."""
        places = tuple(f"{name}." for name in self.frozen)
        return {k: v for k, v in self.state_dict().items() if k.startswith(places)}


def without_retired(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Drop retired arguments of an older file; refuse those that are not at their default."""
    for name in RETIRED.keys() & arguments.keys():
        if arguments[name] != RETIRED[name]:
            raise UserError(
                f"{name} was retired; only its default {RETIRED[name]!r} still works, got "
                f"{arguments[name]!r}. Use the release that wrote the file, or retrain without it."
            )
    return {name: value for name, value in arguments.items() if name not in RETIRED}


def count_as_one_step(optimizers: Iterable[LightningOptimizer]) -> None:
    """Keep these optimizers from advancing ``trainer.global_step``.

    Lightning counts every ``optimizer.step()``, two a batch in a GAN, and measures ``max_steps``
    and checkpoint intervals by that count. Its loop restores its counting hooks for each batch, so
    call this in every ``training_step``, for all optimizers but one.
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
            "gradient. Use --trainer.strategy ddp_find_unused_parameters_true or auto."
        )
