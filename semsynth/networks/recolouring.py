"""Colour augmentation of labelled photos class by class, for few photos.

A network that has seen one sky knows one colour of the sky. Colours change independently per class;
light and dark within a class stay.
"""

import math

import torch
from torch import Tensor

CHANGE = 0.5  # of contrast and saturation at full strength, as a factor
BRIGHTNESS = 0.3  # added at full strength, of colours in [0, 1]


def recolour(image: Tensor, mask: Tensor, num_classes: int, strength: float) -> Tensor:
    """Give each class of images (B, 3, H, W) in [-1, 1] random colours, by torch's generator.

    Pixels of label maps (B, H, W) without a class count as one more class. Strength 0 changes
    nothing; 1 rotates hues by any angle, and changes contrast, saturation and brightness.
    """
    B, K = len(image), num_classes + 1
    known = (mask >= 0) & (mask < num_classes)
    label = torch.where(known, mask, num_classes).flatten(1)  # (B, HW)
    pixels = image.float().flatten(2).transpose(1, 2).add(1).div(2)  # (B, HW, 3)
    mean = class_means(pixels, label, K)  # (B, K, 3)
    angle, contrast, saturation, brightness = (
        strength * (2 * torch.rand(4, B, K, device=image.device) - 1)
    ).unbind(0)
    turn = saturate(1 + CHANGE * saturation) @ rotate_hue(math.pi * angle)  # (B, K, 3, 3)
    matrix = (1 + CHANGE * contrast)[..., None, None] * turn
    shift = ((turn - matrix) @ mean[..., None])[..., 0] + BRIGHTNESS * brightness[..., None]
    row = torch.arange(B, device=image.device)[:, None]
    moved = (matrix[row, label] @ pixels[..., None])[..., 0] + shift[row, label]
    colours = moved.clamp(0, 1).mul(2).sub(1).to(image.dtype)
    return colours.transpose(1, 2).reshape(image.shape)


def class_means(pixels: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """Mean colours (B, K, 3) of pixels (B, N, 3) by their classes (B, N); 0 without a pixel."""
    index = label[..., None].expand_as(pixels)
    sums = pixels.new_zeros(len(pixels), num_classes, 3).scatter_add(1, index, pixels)
    ones = torch.ones_like(pixels)
    return sums / torch.zeros_like(sums).scatter_add(1, index, ones).clamp(min=1)


def rotate_hue(angle: Tensor) -> Tensor:
    """Rotations (..., 3, 3) of RGB colours around the grey axis by angles (...) in radians."""
    third, root = 1 / 3, math.sqrt(1 / 3)
    cos, sin = angle.cos(), angle.sin()
    same = cos + third * (1 - cos)
    left, right = third * (1 - cos) - root * sin, third * (1 - cos) + root * sin
    rows = [same, left, right, right, same, left, left, right, same]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def saturate(factor: Tensor) -> Tensor:
    """Matrices (..., 3, 3) that multiply the distance of RGB colours from grey by factors (...)."""
    grey = torch.full((3, 3), 1 / 3, device=factor.device)
    factor = factor[..., None, None]
    return factor * torch.eye(3, device=grey.device) + (1 - factor) * grey
