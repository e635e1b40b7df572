"""Write images: grids while training and testing, single files in prediction."""

from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from semsynth.callbacks.generation import Batch, generate, supply
from semsynth.callbacks.overlays import log_overlays, log_samples
from semsynth.errors import require_positive, require_writable
from semsynth.images import Palette, colour_mask, image_grid, save_mask, save_png, to_uint8
from semsynth.networks.noise import sample_seed


class ImageLogger(Callback):
    """Writes grids of samples to ``images/`` in the run directory and to W&B.

    Validation shows fixed samples as they improve; a test adds the method's ``variations``.

    Args:
        num_masks: Rows of a grid, one per sample.
        num_samples: Images for each mask.
        seed: Seed of the noise.
    """

    def __init__(self, num_masks: int = 4, num_samples: int = 6, seed: int = 0) -> None:
        self.num_masks = num_masks
        self.num_samples = num_samples
        self.seed = seed

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        *_: Any,
    ) -> None:
        """Draw samples of the first batch, and variations in a test."""
        if batch_idx > 0 or not trainer.is_global_zero or trainer.sanity_checking:
            return
        n = self.num_masks
        rows = {k: v[:n] if isinstance(v, Tensor) else v for k, v in batch.items()}
        title = "test_samples" if trainer.testing else f"samples_{trainer.global_step:08d}"
        self._write(trainer, pl_module, rows, self._samples(trainer, pl_module, rows), title)
        if trainer.testing:
            names = {"variations"}
            found = supply(trainer, pl_module, rows, self.seed, self.num_samples, names)
            for name, images in found.get("variations", {}).items():
                self._write(trainer, pl_module, rows, images, f"test_{name}")

    on_test_batch_end = on_validation_batch_end  # type: ignore[assignment]  # Lightning's types differ

    def _samples(self, trainer: Trainer, method: LightningModule, batch: Batch) -> Tensor:
        first = generate(trainer, method, batch, self.seed, 0)
        if first.ndim == 3:  # a segmenter's label maps, the same in each draw
            return colour_mask(first.long(), self._palette(trainer))[:, None]
        others = range(1, self.num_samples)
        images = [generate(trainer, method, batch, self.seed, draw) for draw in others]
        return torch.stack([first, *images], dim=1)

    def _palette(self, trainer: Trainer) -> Palette:
        return trainer.datamodule.label_space.palette  # type: ignore[attr-defined]

    def _write(
        self, trainer: Trainer, method: LightningModule, batch: Batch, series: Tensor, name: str
    ) -> None:
        columns = list(series.unbind(1))
        if getattr(method, "uses_masks", True):
            painted = colour_mask(batch["mask"], self._palette(trainer))
            real = [batch["image"]] if "image" in batch else []
            columns = [painted, *real, *columns]
        grid = image_grid(columns)
        save_png(grid, Path(trainer.default_root_dir) / "images" / f"{name}.png")
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                title = name if name.startswith("test") else "samples"
                logger.log_image(title, [grid.permute(1, 2, 0).numpy()])
                if title in ("samples", "test_samples") and getattr(method, "uses_masks", True):
                    names = list(trainer.datamodule.label_space.names)  # type: ignore[attr-defined]
                    log_overlays(logger, f"{title}_overlay", series[:, 0], batch["mask"], names)
                    if title == "test_samples":
                        log_samples(logger, "test_table", batch, series, names)


class PredictionWriter(Callback):
    """Writes the images of ``semsynth predict``: ``NAME_00.png``, ``NAME_01.png`` and so on.

    Of a segmenter, whose predictions are label maps (B, H, W), it writes ``NAME.png``.

    Args:
        output: Directory of the images.
        num_samples: Images for each mask.
        seed: Seed of the noise; the same seed gives the same images.
        style: The batch's ``style``, if any.
    """

    def __init__(
        self, output: str, num_samples: int = 4, seed: int = 0, style: Batch | None = None
    ) -> None:
        require_positive(num_samples=num_samples)
        self.output = Path(output)
        require_writable(self.output, "--output")
        self.num_samples = num_samples
        self.seed = seed
        self.style = style

    def on_predict_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Seed the first images, which the trainer's own call makes."""
        batch["seed"] = sample_seed(self.seed, batch["index"])
        if self.style is not None:
            batch["style"] = move_data_to_device(self.style, pl_module.device)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        *_: Any,
    ) -> None:
        """Write the first images of the batch, then generate and write the others."""
        names = batch.get("name", [f"{i:06d}" for i in batch["index"].tolist()])
        if not outputs.is_floating_point():
            for name, mask in zip(names, outputs, strict=True):
                save_mask(mask, self.output / f"{name}.png")
            return
        for draw in range(self.num_samples):
            images = generate(trainer, pl_module, batch, self.seed, draw) if draw else outputs
            for name, image in zip(names, to_uint8(images), strict=True):
                save_png(image, self.output / f"{name}_{draw:02d}.png")
