"""Colour of the visible parts: base colour and texture of the class, light, and one global tint."""

import math
from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.data.toy.drawing import Part, frames

STRIPES, NOISE = 1, 2
"""Values of ``appearance["texture"]``; 0 is no texture."""

NOISE_SIZE = 16
"""Units of the value noise before it is mirrored."""

LAMPLIGHT = (1.0, 0.86, 0.5)


def hsv_to_rgb(hsv: Tensor) -> Tensor:
    """Convert colours (..., 3) with all channels in [0, 1]; the hue may leave [0, 1] and wraps."""
    hue, saturation, value = hsv[..., :1], hsv[..., 1:2], hsv[..., 2:]
    sector = (hue * 6 + torch.tensor([5.0, 3.0, 1.0])) % 6
    return value * (1 - saturation * torch.minimum(sector, 4 - sector).clamp(0, 1))


def shade(
    parts: Sequence[Part], seen: Tensor, appearance: dict[str, Tensor], x: Tensor, y: Tensor
) -> Tensor:
    """Colours (B, 3, H, W) in [0, 1] of visible parts (B, H, W) at x (1, 1, W), y (1, H, 1)."""
    B, H, W = seen.shape
    base, accent = _colours(parts, appearance)  # (B, P, 3) each
    texture_table = _texture_table(parts, appearance)  # (B, P, 12)
    rows = (seen + torch.arange(B).view(B, 1, 1) * len(parts)).flatten()

    def field(values: Tensor) -> Tensor:
        return values.flatten().index_select(0, rows).view(B, H, W)

    f = [field(column) for column in texture_table.unbind(2)]
    stripes = torch.sin(f[0] * x + f[1] * y + f[2]).mul_(3).clamp_(-1, 1)
    grid = torch.empty(B, H, W, 2)
    torch.add(f[3] * x, f[4], out=grid[..., 0])
    torch.add(f[5] * y, f[6], out=grid[..., 1])
    noise = _value_noise(grid)
    texture = stripes.mul_(f[7]).add_(noise.mul_(f[8]))
    light = f[9] * x + f[10] * y + f[11]
    colours = torch.empty(B, 3, H, W)
    for c in range(3):  # keeps the working set within the CPU cache
        plain, change = field(base[..., c]), field(accent[..., c])
        torch.mul(change.mul_(texture).add_(plain), light, out=colours[:, c])
    return colours.clamp_(0, 1)


def _colours(parts: Sequence[Part], appearance: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Tinted colour of each part, and its change by a texture of 1: (B, P, 3) each."""
    labels = torch.tensor([part.label for part in parts])
    tone = torch.tensor([part.tone for part in parts])[:, None]
    glow = torch.tensor([part.glow for part in parts])[:, None]
    tint = appearance["tint"][:, None]  # (B, 1, 3)
    base, accent = appearance["base"][:, labels], appearance["accent"][:, labels]
    accent = (accent - base) * (1 - tone.abs())
    base = base * (1 - tone.abs()) + tone.clamp(min=0)
    lit = glow * (1 - tint.mean(2, keepdim=True)).clamp(0, 1)
    lit = (2 * lit).clamp(max=1)  # all lamps are on well before midnight
    return base * tint + (torch.tensor(LAMPLIGHT) - base * tint) * lit, accent * tint * (1 - lit)


def _texture_table(parts: Sequence[Part], appearance: dict[str, Tensor]) -> Tensor:
    """Texture and light of each part as functions of image coordinates (B, P, 12).

    Stripes are ``sin(a x + b y + c)``, points of the noise ``(a x + b, c y + d)``, then the weights
    of stripes and noise, and light ``a x + b y + c``.
    """
    labels = torch.tensor([part.label for part in parts])
    light_x, light_y = torch.tensor([part.light for part in parts]).T
    centre, scale = frames(parts)
    (centre_x, centre_y), (scale_x, scale_y) = centre.unbind(2), scale.unbind(2)  # (B, P) each
    frequency = appearance["frequency"][:, labels]
    angle, kind = appearance["angle"][:, labels], appearance["texture"][:, labels]
    offset_x, offset_y = (2 * appearance["phase"][:, labels] - 1).unbind(2)
    amplitude = appearance["amplitude"][:, labels]
    stripes_x = 2 * math.pi * frequency * angle.cos() / scale_x
    stripes_y = 2 * math.pi * frequency * angle.sin() / scale_y
    stripes = -stripes_x * centre_x - stripes_y * centre_y + 2 * math.pi * offset_x
    noise_x, noise_y = (4 / NOISE_SIZE * frequency / scale for scale in (scale_x, scale_y))
    light_x, light_y = light_x / scale_x, light_y / scale_y
    columns = [stripes_x, stripes_y, stripes]
    columns += [noise_x, offset_x - noise_x * centre_x, noise_y, offset_y - noise_y * centre_y]
    columns += [amplitude * (kind == STRIPES), amplitude * (kind == NOISE)]
    columns += [light_x, light_y, 1 - light_x * centre_x - light_y * centre_y]
    return torch.stack(columns, 2)


@cache
def _noise_tile() -> Tensor:
    """Two octaves of smooth noise in [-1, 1] with 8 texels per unit (1, 1, H, W)."""
    generator = torch.Generator().manual_seed(0)
    coarse, fine = (
        F.interpolate(
            torch.rand(1, 1, cells, cells, generator=generator) * 2 - 1,
            size=8 * NOISE_SIZE,
            mode="bicubic",
        )
        for cells in (NOISE_SIZE, 2 * NOISE_SIZE)
    )
    return (1.5 * coarse + 0.75 * fine).clamp(-1, 1)


def _value_noise(grid: Tensor) -> Tensor:
    """Noise in [-1, 1] at points (B, H, W, 2), mirrored at -1 and 1."""
    B, H, W, _ = grid.shape
    grid = grid.view(1, B * H, W, 2)
    noise = F.grid_sample(_noise_tile(), grid, padding_mode="reflection", align_corners=True)
    return noise.view(B, H, W)
