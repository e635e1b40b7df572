"""Adaptive discriminator augmentation (Karras et al., NeurIPS 2020).

Paper: https://arxiv.org/abs/2006.06676, appendix B. The inputs of the discriminator, real and
generated, are augmented with a probability that adapts to its overfitting. The generator does not
learn the augmentations as long as the probability is below about 0.8.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from semsynth.networks.noise import seeded_uniform
from semsynth.networks.stylegan2.warp import move_pixels, warp

Pipe = Literal["b", "bg", "bgc"]
"""Kinds of operations: blitting (pixels are moved), geometry (they are resampled), colours."""

NUM_GATES, NUM_VALUES = 13, 15
NUM_DRAWS = NUM_GATES + NUM_VALUES
_GATES_OF_PIPE = {"b": 3, "bg": 8, "bgc": NUM_GATES}
_GATE_OF_VALUE = (0, 1, 2, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10, 11, 12)
_ROTATION_GATES = (4, 6)


class Operations(NamedTuple):
    """Operations on each image (B,), in this order. Zero is the identity."""

    flip: Tensor  # 1 exchanges left and right
    quarter_turns: Tensor  # number of them, counterclockwise
    shift_x: Tensor  # share of the width, rounded to pixels, to the right
    shift_y: Tensor  # share of the height, rounded to pixels, downwards
    log2_scale: Tensor  # enlarges by this power of two
    turn_before: Tensor  # angle of the rotation before stretching, counterclockwise
    log2_stretch: Tensor  # widens by this power of two and flattens by as much
    turn_after: Tensor  # angle of the rotation after stretching
    move_x: Tensor  # share of the width, to the right
    move_y: Tensor  # share of the height, downwards
    brightness: Tensor  # added to all colours, in the units of the image
    log2_contrast: Tensor  # multiplies colours by this power of two
    luma_flip: Tensor  # 1 negates the lightness and keeps the hue
    hue: Tensor  # angle of the rotation about the grey axis
    log2_saturation: Tensor  # multiplies the distance to the grey axis by this power of two


def draw_operations(uniform: Tensor, p: Tensor, pipe: Pipe = "bgc") -> Operations:
    """Draw from the distributions of the paper, in float64, by numbers (B, NUM_DRAWS) in [0, 1].

    Each operation is applied with probability ``p``. Half of the flips and a quarter of the turns
    drawn change nothing, as in the paper. Each of the two rotations is less probable, so that one
    of them or both are applied with ``p``.
    """
    # Away from 0 and 1, where the normal quantile is infinite and 1 < p is never true.
    uniform = uniform.double().clamp(1e-9, 1 - 1e-9)
    gates, u = uniform[:, :NUM_GATES], uniform[:, NUM_GATES:].unbind(1)
    gate = torch.arange(NUM_GATES, device=uniform.device)
    rotates = (gate == _ROTATION_GATES[0]) | (gate == _ROTATION_GATES[1])
    chance = torch.where(rotates, 1 - (1 - p).sqrt(), p) * (gate < _GATES_OF_PIPE[pipe])
    applied = gates < chance
    normal = torch.special.ndtri
    values = Operations(
        flip=(2 * u[0]).floor(),
        quarter_turns=(4 * u[1]).floor(),
        shift_x=0.125 * (2 * u[2] - 1),
        shift_y=0.125 * (2 * u[3] - 1),
        log2_scale=0.2 * normal(u[4]),
        turn_before=torch.pi * (2 * u[5] - 1),
        log2_stretch=0.2 * normal(u[6]),
        turn_after=torch.pi * (2 * u[7] - 1),
        move_x=0.125 * normal(u[8]),
        move_y=0.125 * normal(u[9]),
        brightness=0.2 * normal(u[10]),
        log2_contrast=0.5 * normal(u[11]),
        luma_flip=(2 * u[12]).floor(),
        hue=torch.pi * (2 * u[13] - 1),
        log2_saturation=normal(u[14]),
    )
    return Operations(*(v * applied[:, g] for v, g in zip(values, _GATE_OF_VALUE, strict=True)))


def augment(images: Tensor, operations: Operations, pipe: Pipe = "bgc") -> Tensor:
    """Apply operations to images (B, 3, S, S) in [-1, 1], in float32 whatever autocast says.

    Operations outside of the ``pipe`` are not computed. The result is not clipped; images without
    an operation stay bitwise equal.
    """
    if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] != images.shape[3]:
        raise ValueError(f"Augmentation takes images (B, 3, S, S), got {tuple(images.shape)}.")
    with torch.autocast(images.device.type, enabled=False):
        images = images.to(torch.promote_types(images.dtype, torch.float32))
        matrix = geometry(operations, images.shape[-1])
        moved = move_pixels(images, matrix)
        if pipe != "b":
            # Pixel-exact operations are not resampled.
            moved = torch.where(is_resampled(operations), warp(images, matrix), moved)
        return recolour(moved, colours(operations)) if pipe == "bgc" else moved


def is_resampled(o: Operations) -> Tensor:
    """Whether an image (B, 1, 1, 1) must be resampled."""
    resampling = (o.log2_scale, o.turn_before, o.log2_stretch, o.turn_after, o.move_x, o.move_y)
    return (torch.stack(resampling) != 0).any(0)[:, None, None, None]


def geometry(o: Operations, size: int) -> Tensor:
    """Maps (B, 3, 3) from positions in the result to positions in the image, about its centre.

    They are the inverses of the operations, in reverse order.
    """
    stretch = o.log2_stretch.exp2()
    matrix = scaling(1 - 2 * o.flip, torch.ones_like(o.flip))
    matrix = matrix @ rotation(-torch.pi / 2 * o.quarter_turns)
    matrix = matrix @ translation(-(o.shift_x * size).round(), -(o.shift_y * size).round())
    matrix = matrix @ scaling((-o.log2_scale).exp2(), (-o.log2_scale).exp2())
    matrix = matrix @ rotation(-o.turn_before)
    matrix = matrix @ scaling(1 / stretch, stretch)
    matrix = matrix @ rotation(-o.turn_after)
    return matrix @ translation(-o.move_x * size, -o.move_y * size)


def scaling(x: Tensor, y: Tensor) -> Tensor:
    """Maps (B, 3, 3) that multiply x and y by factors (B,)."""
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], -1))


def rotation(angle: Tensor) -> Tensor:
    """Maps (B, 3, 3) that rotate by angles (B,), counterclockwise as seen, as y is down."""
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = [cos, sin, zero, -sin, cos, zero, zero, zero, zero + 1]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def translation(x: Tensor, y: Tensor) -> Tensor:
    """Maps (B, 3, 3) that add to x and y numbers (B,)."""
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return torch.stack([one, zero, x, zero, one, y, zero, zero, one], -1).unflatten(-1, (3, 3))


def colours(o: Operations) -> Tensor:
    """Maps (B, 3, 4) from red, green, blue and 1 to the new colour.

    Brightness is added and contrast multiplied first; the rest acts around the grey axis v, and can
    only negate the brightness along it.
    """
    one = torch.eye(3, device=o.hue.device, dtype=o.hue.dtype)
    grey = torch.full_like(one, 1 / 3)  # v v^T, the projection to the grey axis
    cross = (torch.roll(one, 1, 0) - torch.roll(one, 1, 1)) / 3**0.5  # v x, the cross product
    contrast, saturation = o.log2_contrast.exp2(), o.log2_saturation.exp2()

    def times(factor: Tensor, matrix: Tensor) -> Tensor:
        return factor[:, None, None] * matrix

    luma = one - times(2 * o.luma_flip, grey)
    hue = times(o.hue.cos(), one) + times(1 - o.hue.cos(), grey) + times(o.hue.sin(), cross)
    saturate = times(saturation, one) + times(1 - saturation, grey)
    turn = times(contrast, saturate @ hue @ luma)
    added = (turn * o.brightness[:, None, None]).sum(2, keepdim=True)
    return torch.cat([turn, added], 2)


def recolour(images: Tensor, matrix: Tensor) -> Tensor:
    """Map the colours of images (B, 3, H, W) by matrices (B, 3, 4).

    Without a matrix product, which might round to TF32.
    """
    matrix = matrix.to(images.dtype)[..., None, None]  # (B, 3, 4, 1, 1)
    channels = [matrix[:, :, c] * images[:, c : c + 1] for c in range(3)]
    return channels[0] + channels[1] + channels[2] + matrix[:, :, 3]


class AdaptiveAugment(nn.Module):
    """Augments images with a probability that rises while the discriminator overfits.

    Overfitting is measured by the sign of the logits of real images, averaged over some steps: 0
    before the discriminator has learnt anything, 1 when it has memorised the real images. Nothing
    synchronises with the device, and probability and averages are in ``state_dict``.

    Args:
        pipe: Kinds of operations: ``b`` moves pixels, ``g`` resamples, ``c`` changes colours.
        p: Probability of each operation, or the one to start from.
        target: Target of the average sign.
        kimg: Thousands of images in which the probability could rise from 0 to 1.
        interval: Calls of ``update`` between two changes of the probability.
    """

    p: Tensor
    signs: Tensor
    num_updates: Tensor

    def __init__(
        self,
        pipe: Pipe = "bgc",
        p: float = 0.0,
        target: float = 0.6,
        kimg: float = 500.0,
        interval: int = 4,
    ) -> None:
        super().__init__()
        if pipe not in get_args(Pipe):
            raise ValueError(f"The pipe is one of {', '.join(get_args(Pipe))}, got {pipe!r}.")
        if not 0 <= p <= 1:
            raise ValueError(f"The probability of augmentation must be in [0, 1], got {p}.")
        if not (-1 <= target <= 1 and kimg > 0 and interval >= 1):
            raise ValueError(
                "Augmentation adapts to a target in [-1, 1], over kimg above 0, at an interval of "
                f"1 or more; got target {target}, kimg {kimg}, interval {interval}."
            )
        self.pipe, self.target, self.kimg, self.interval = pipe, target, kimg, interval
        self.register_buffer("p", torch.tensor(float(p)))
        self.register_buffer("signs", torch.zeros(2))  # sum and number
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.int64))

    def forward(self, images: Tensor, seed: Tensor | None = None) -> Tensor:
        """Augment images (B, 3, S, S) in [-1, 1], by seeds (B,) or else by torch's generator."""
        if seed is None:
            uniform = torch.rand(len(images), NUM_DRAWS, device=images.device)
        else:
            uniform = seeded_uniform(seed, NUM_DRAWS)
        return augment(images, draw_operations(uniform, self.p, self.pipe), self.pipe)

    @torch.no_grad()
    def update(self, real_logits: Tensor, reduce: Callable[[Tensor], Tensor] | None = None) -> None:
        """Accumulate logits of augmented real images, and adjust the probability at intervals.

        ``reduce`` sums a tensor over all processes, so that they agree; it is called each time.
        """
        sign = real_logits.detach().float().sign()
        new = torch.stack([sign.sum(), torch.full_like(sign, 1.0).sum()])
        self.signs += new if reduce is None else reduce(new)
        self.num_updates += 1
        due = self.num_updates >= self.interval
        total, number = self.signs.unbind()
        step = (total / number - self.target).sign() * number / (1000 * self.kimg)
        self.p.copy_(torch.where(due, (self.p + step).clamp(0, 1), self.p))
        self.signs *= ~due
        self.num_updates *= ~due
