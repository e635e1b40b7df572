"""Pictures of batches: coloured masks, and grids with one row for each mask."""

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from semsynth.errors import UserError
from semsynth.files import write_bytes

Palette = Sequence[tuple[int, int, int]]
UNLABELLED = (0, 0, 0)


def colour_mask(mask: Tensor, palette: Palette) -> Tensor:
    """Paint a label map.

    Args:
        mask: Label maps (B, H, W); values without a colour become black.
        palette: Colour of each class, RGB in 0..255.

    Returns:
        Images (B, 3, H, W) in [-1, 1].
    """
    colours = torch.tensor([*palette, UNLABELLED], dtype=torch.float32, device=mask.device)
    known = (mask >= 0) & (mask < len(palette))
    return colours[torch.where(known, mask, len(palette))].permute(0, 3, 1, 2) / 127.5 - 1


def to_uint8(image: Tensor) -> Tensor:
    """Images in [-1, 1] to uint8, rounded and clamped; the shape is kept.

    Raises:
        UserError: They have NaN or infinite values, which would look black.
    """
    if not image.isfinite().all():
        raise UserError(
            "The images have NaN or infinite values, so none is written or measured. Check the "
            "weights that made them, and the truncation."
        )
    return image.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def from_uint8(image: Tensor) -> Tensor:
    """Images in 0..255, uint8, to float32 in [-1, 1]; the shape is kept."""
    return image.float() / 127.5 - 1


def image_grid(columns: Sequence[Tensor], gap: int = 2) -> Tensor:
    """Lay images out, one row for each sample and one column for each tensor.

    Args:
        columns: Tensors (B, 3, H, W) in [-1, 1], all of one shape.
        gap: White pixels between images.

    Returns:
        One picture (3, height, width), uint8.
    """
    tiles = torch.stack([to_uint8(c).cpu() for c in columns])  # (columns, B, 3, H, W)
    tiles = torch.nn.functional.pad(tiles, (0, gap, 0, gap), value=255)
    grid = tiles.permute(2, 1, 3, 0, 4).flatten(3, 4).flatten(1, 2)  # (3, B*H, columns*W)
    return grid[:, :-gap, :-gap]


def save_png(picture: Tensor, path: Path) -> None:
    """Write a picture (3, H, W), uint8, atomically."""
    write_bytes(path, png_bytes(picture.permute(1, 2, 0)))


def save_mask(mask: Tensor, path: Path) -> None:
    """Write a label map (H, W) of values up to 255 as one channel, as ``save_png`` does."""
    write_bytes(path, png_bytes(mask.to(torch.uint8)))


def save_instances(instance: Tensor, path: Path) -> None:
    """Write an instance map (H, W) of values up to 65,535 as one channel of 16 bits."""
    write_bytes(path, png_bytes(instance.to(torch.uint16)))


def png_bytes(pixels: Tensor) -> bytes:
    """A PNG file of a picture (H, W, 3), uint8, or of a map (H, W), uint8 or uint16."""
    content = io.BytesIO()
    Image.fromarray(pixels.contiguous().cpu().numpy()).save(content, format="PNG")
    return content.getvalue()
