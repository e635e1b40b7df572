"""Images with their label maps as overlays, for W&B's image viewer."""

from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from semsynth.images import to_uint8


def log_overlays(
    logger: WandbLogger, title: str, image: Tensor, mask: Tensor, names: list[str]
) -> None:
    """Log images (B, 3, H, W) whose label maps (B, H, W) can be switched on and off."""
    shown = overlays(image, mask, names)
    logger.log_image(title, shown["images"], masks=shown["masks"])


def log_samples(
    logger: WandbLogger, title: str, batch: dict[str, Any], samples: Tensor, names: list[str]
) -> None:
    """Log a table with a row per mask: name, real image and mask, samples (B, K, 3, H, W)."""
    real = batch.get("image", samples[:, 0])
    shown = overlays(real, batch["mask"], names)
    pictures = zip(shown["images"], shown["masks"], strict=True)
    given = batch.get("name", [str(i) for i in batch["index"].tolist()])
    columns = ["name", "mask and image", *(f"sample {k}" for k in range(samples.shape[1]))]
    rows = [
        [name, wandb.Image(image, masks=mask), *map(wandb.Image, arrays(series))]
        for name, (image, mask), series in zip(given, pictures, samples, strict=False)
    ]
    logger.log_table(title, columns=columns, data=rows)


def overlays(image: Tensor, mask: Tensor, names: list[str]) -> dict[str, list[Any]]:
    """``images`` and ``masks`` as ``WandbLogger.log_image`` takes them."""
    labels = dict(enumerate(names))
    masks = [
        {"layout": {"mask_data": m.byte().cpu().numpy(), "class_labels": labels}} for m in mask
    ]
    return {"images": arrays(image), "masks": masks}


def arrays(image: Tensor) -> list[Any]:
    """Images (B, 3, H, W) in [-1, 1] as arrays (H, W, 3), uint8."""
    return list(to_uint8(image).permute(0, 2, 3, 1).cpu().numpy())
