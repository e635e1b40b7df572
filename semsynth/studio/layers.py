"""A step of an edit as one tensor: its latents, and what it holds outside of regions."""

import numpy as np
import torch
from torch import Tensor

from semsynth.editing import Canvas, EditError
from semsynth.editing.trajectory import Held
from semsynth.studio.uploads import UploadError

MAX_LAYERS = 64  # of one image; each costs a pass

Layers = tuple[Held, ...]


def row_of(canvas: Canvas) -> int:
    """Numbers of a layer: latents, and a byte for eight pixels of its region."""
    G = canvas.generator
    return G.num_ws * G.w_dim + -(-(canvas.size**2) // 8)


def packed(w_plus: Tensor, held: Layers, canvas: Canvas) -> Tensor:
    """Latents (1, num_ws, w_dim) and layers as rows (1 + layers, ``row_of``), float32, CPU.

    Without layers it is the latents alone (1, num_ws, w_dim).
    """
    if not held:
        return w_plus.float().cpu()
    if len(held) >= MAX_LAYERS:
        raise EditError(
            f"An image takes at most {MAX_LAYERS - 1} regions; save it and go on from the photo."
        )
    codes = torch.cat([w_plus, *(layer.w_plus for layer in held)]).float().cpu().flatten(1)
    whole = np.zeros((1, canvas.size**2), np.bool_)
    masks = [layer.region.cpu().numpy().reshape(1, -1) for layer in held]
    bits = np.packbits(np.concatenate([whole, *masks]), axis=1)
    return torch.cat([codes, torch.from_numpy(bits.astype(np.float32))], dim=1)


def unpacked(rows: Tensor, canvas: Canvas) -> tuple[Tensor, Layers]:
    """Latents and layers of ``packed``, on the canvas's device.

    Raises:
        EditError: They are of another model.
    """
    G = canvas.generator
    device = G.mean_latent.device
    if rows.shape == (1, G.num_ws, G.w_dim):
        return rows.to(device), ()
    if rows.ndim != 2 or rows.shape[1] != row_of(canvas):
        raise EditError("These latents are of another model.")
    codes = rows[:, : G.num_ws * G.w_dim].view(-1, 1, G.num_ws, G.w_dim).to(device)
    data = rows[1:, G.num_ws * G.w_dim :].clamp(0, 255).numpy().astype(np.uint8)
    bits = np.unpackbits(data, axis=1, count=canvas.size**2).astype(np.bool_)
    regions = torch.from_numpy(bits).view(-1, canvas.size, canvas.size).to(device)
    pairs = zip(codes[1:], regions, strict=True)
    return codes[0], tuple(Held(code, region) for code, region in pairs)


def read_packed(data: bytes, canvas: Canvas) -> Tensor:
    """What ``packed`` made, from the bytes that a page has kept.

    Raises:
        UploadError: They cannot be.
    """
    G = canvas.generator
    latents, row = G.num_ws * G.w_dim, row_of(canvas)
    count, rest = divmod(len(data), 4 * row)
    if len(data) != 4 * latents and (rest or not 1 < count <= MAX_LAYERS):
        raise UploadError("These are not latents of this model.")
    values = torch.frombuffer(bytearray(data), dtype=torch.float32)
    if not values.isfinite().all():
        raise UploadError("The latents are NaN or infinite.")
    return values.view(1, G.num_ws, G.w_dim) if len(data) == 4 * latents else values.view(-1, row)


def region_of_bytes(data: bytes, canvas: Canvas) -> Tensor:
    """A region (size, size), bool, from one byte per pixel, row by row."""
    if len(data) != canvas.size**2:
        raise UploadError(f"A region has {canvas.size} x {canvas.size} pixels, got {len(data)}.")
    region = torch.frombuffer(bytearray(data), dtype=torch.uint8).view(canvas.size, canvas.size)
    return region > 0
