"""Style codes of images, and edits of them before decoding.

Every control of class- and layer-wise codes is an edit of two tensors: which rows, on which levels,
are taken from where. Codes of all rows always exist, whichever classes a mask has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
from torch import Tensor

from semsynth.errors import UserError

Fill = Literal["zero", "sample"]
Path = Literal["lerp", "slerp"]


class StyleError(UserError):
    """A control is impossible with these codes or data; the message says why."""


@dataclass(frozen=True)
class StyleCodes:
    """Codes of a batch of images."""

    z_global: Tensor  # (B, z_dim)
    z_local: Tensor  # (B, L, K, N): levels from the finest, rows, dimension
    present: Tensor  # which local codes come from an image (B, L, K), bool; others are sampled

    def __len__(self) -> int:
        return len(self.z_global)

    def __getitem__(self, which: slice) -> Self:
        """Codes of some of the images."""
        return type(self)(self.z_global[which], self.z_local[which], self.present[which])

    def expand(self, count: int) -> Self:
        """Codes of one image for ``count`` images."""
        tensors = (self.z_global, self.z_local, self.present)
        return type(self)(*(t.expand(count, *t.shape[1:]) for t in tensors))


def choose(
    shape: Sequence[int],
    classes: Sequence[int] | None = None,
    levels: Sequence[int] | None = None,
    *,
    per_class: int = 1,
    device: torch.device | None = None,
) -> Tensor:
    """Mask (1, L, K, 1), bool, of the codes of shape (L, K, N) to edit.

    Classes have ``per_class`` rows each; level 0 is the finest; by default all are chosen.
    """
    L, K, _ = shape
    num_classes = K // per_class
    for name, values, count in (("class", classes, num_classes), ("level", levels, L)):
        if beyond := [v for v in values or () if not 0 <= v < count]:
            raise StyleError(
                f"There is no {name} {beyond[0]}: the codes have {count}, from 0 to {count - 1}."
            )
    rows = torch.ones(K, dtype=torch.bool) if classes is None else torch.zeros(K).bool()
    for c in classes or ():
        rows[c * per_class : (c + 1) * per_class] = True
    chosen = torch.ones(L, dtype=torch.bool) if levels is None else torch.zeros(L).bool()
    chosen[list(levels or ())] = True
    return (chosen[:, None] & rows)[None, :, :, None].to(device)


def replace_codes(codes: StyleCodes, other: StyleCodes, where: Tensor) -> StyleCodes:
    """Take local codes from others ``where`` (B or 1, L, K, 1); sampled ones resample."""
    return replace(
        codes,
        z_local=torch.where(where, other.z_local, codes.z_local),
        present=torch.where(where[..., 0], other.present, codes.present),
    )


def complete(codes: StyleCodes, drawn: StyleCodes, fill: Fill = "zero") -> StyleCodes:
    """Codes of an image for another mask, with sampled ones for new classes.

    On levels where a row is too small, ``fill`` gives it zero, the mean of the prior, as in the
    released code, or the sampled code.
    """
    known = codes.present[..., None]  # (B, L, K, 1)
    fill_in = known.any(1, keepdim=True) if fill == "zero" else known
    own = torch.where(known, codes.z_local, 0)
    return replace(codes, z_local=torch.where(fill_in, own, drawn.z_local))


def swap(a: StyleCodes, b: StyleCodes, where: Tensor) -> tuple[StyleCodes, StyleCodes]:
    """Swap local codes of two batches; global codes stay."""
    return replace_codes(a, b, where), replace_codes(b, a, where)


def interpolate(
    a: StyleCodes,
    b: StyleCodes,
    weight: float,
    path: Path = "lerp",
    where: Tensor | None = None,
    *,
    with_global: bool = True,
) -> StyleCodes:
    """Interpolate the codes of two batches by a weight from 0 (a) to 1 (b).

    ``lerp`` is for means of posteriors; ``slerp`` for samples of the prior, whose norm it keeps.
    Local codes move ``where`` (B or 1, L, K, 1), by default all.
    """
    move = slerp if path == "slerp" else torch.lerp
    z_local = move(a.z_local, b.z_local, weight)
    if where is not None:
        z_local = torch.where(where, z_local, a.z_local)
    z_global = move(a.z_global, b.z_global, weight) if with_global else a.z_global
    return StyleCodes(z_global, z_local, a.present & b.present)


def slerp(a: Tensor, b: Tensor, weight: float) -> Tensor:
    """Spherical interpolation of vectors (..., N); linear if they are parallel."""
    lengths = (x.norm(dim=-1, keepdim=True).clamp_min(1e-12) for x in (a, b))
    cosine = (a * b).sum(-1, keepdim=True)
    for length in lengths:
        cosine = cosine / length
    angle = cosine.clamp(-1, 1).acos()
    sine = angle.sin()
    parts = [(w * angle).sin() / sine.clamp_min(1e-6) for w in (1 - weight, weight)]
    return torch.where(sine < 1e-4, torch.lerp(a, b, weight), parts[0] * a + parts[1] * b)


def paste_back(fake: Tensor, image: Tensor, mask: Tensor, classes: Sequence[int]) -> Tensor:
    """Restore the original pixels outside some classes of masks (B, H, W)."""
    edited = torch.isin(mask, torch.tensor(classes, device=mask.device))
    return torch.where(edited[:, None], fake, image)
