"""Synthetic strokes in the regions of label maps, for whole batches."""

import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.noise import seeded_uniform

STROKES = 2  # of each class
UNITS = 32  # a stroke is a 32nd of the map wide


def draw_strokes(labels: Tensor, seed: Tensor, num_classes: int) -> Tensor:
    """Keep curved strokes of each class of label maps (B, h, w), and make the rest unknown, 0.

    A stroke is a quadratic Bezier curve through three pixels of its class, clipped to that class;
    seeds (B,) choose them. ``num_classes`` includes 0.
    """
    B, h, w = labels.shape
    ends = pixels_of_classes(labels.flatten(1), seed, num_classes, 3 * STROKES)
    ends = torch.stack([ends // w, ends % w], dim=-1).view(B, -1, 3, 2)  # (B, K S, 3, 2)
    t = torch.linspace(0, 1, 2 * max(h, w), device=labels.device)[:, None]
    start, bend, end = ends.float().unsqueeze(-2).unbind(2)  # (B, K S, 1, 2)
    y, x = ((1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end).round().long().unbind(-1)
    own = torch.arange(num_classes, device=labels.device).repeat_interleave(STROKES)
    pixel = (y * w + x).flatten(1)  # (B, K S T)
    found = labels.flatten(1).gather(1, pixel).view(B, len(own), -1)
    mark = torch.where(found == own[:, None], found, 0).flatten(1)
    drawn = torch.zeros_like(labels).flatten(1).scatter_reduce(1, pixel, mark, "amax")
    return thicken(drawn.view_as(labels), labels)


def pixels_of_classes(labels: Tensor, seed: Tensor, num_classes: int, count: int) -> Tensor:
    """Random pixels (B, num_classes, count) of each class of label maps (B, P).

    Those of an absent class are of others.
    """
    order = labels.argsort(dim=1, stable=True)  # the pixels, class by class
    slot = labels.new_zeros(len(labels), num_classes)
    pixels = slot.scatter_add(1, labels, torch.ones_like(labels))
    first = (pixels.cumsum(1) - pixels)[..., None]
    uniform = seeded_uniform(seed, num_classes, count)
    place = first + (uniform * pixels[..., None]).long()
    place = place.clamp(max=labels.shape[1] - 1)
    return order.gather(1, place.flatten(1)).view_as(place)


def thicken(marks: Tensor, labels: Tensor) -> Tensor:
    """Grow marks (B, h, w) to the width of a stroke, inside the regions of their classes."""
    width = max(1, round(max(labels.shape[1:]) / UNITS))
    before = (width - 1) // 2
    padded = F.pad(marks.float(), (before, width - 1 - before) * 2)
    grown = F.max_pool2d(padded, width, stride=1).long()
    return torch.where(grown == labels, grown, marks)
