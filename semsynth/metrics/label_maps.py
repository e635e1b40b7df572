"""Lookup tables between label spaces."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from semsynth.data.cityscapes import EVALUATED

LabelMapName = Literal["cityscapes_ids_to_train_ids", "face_parsing_to_celebamask_hq"]
IGNORE = 255

# fmt: off
_CELEBAMASK_HQ = (
    "background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear",
    "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)
# The order of zllrunning/face-parsing.PyTorch, whose BiSeNet is the usual face segmenter
_FACE_PARSING = (
    "background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear", "r_ear", "ear_r",
    "nose", "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth", "hair", "hat",
)
# fmt: on

LABEL_MAPS: dict[str, tuple[int, ...]] = {
    # the 34 ids, and a 35th class for all else
    "cityscapes_ids_to_train_ids": tuple(
        EVALUATED.index(i) if i in EVALUATED else IGNORE for i in range(35)
    ),
    "face_parsing_to_celebamask_hq": tuple(_CELEBAMASK_HQ.index(name) for name in _FACE_PARSING),
}


def label_map(which: str | Sequence[int]) -> tuple[int, ...]:
    """The new class of each class, 255 for none: a table by name, or as given."""
    if isinstance(which, str) and which not in LABEL_MAPS:
        raise ValueError(f"Unknown class map {which!r}; known: {', '.join(LABEL_MAPS)}.")
    table = LABEL_MAPS[which] if isinstance(which, str) else tuple(which)
    if not table or not all(0 <= entry <= IGNORE for entry in table):
        raise ValueError(
            "A class map gives the new class of each class, 0 to 254, or 255 for none; got "
            f"{table}."
        )
    return table


def num_classes_of(table: Sequence[int]) -> int:
    """Number of target classes of a table."""
    return max((entry for entry in table if entry != IGNORE), default=-1) + 1


def relabel(mask: Tensor, table: Sequence[int], ignore_index: int = IGNORE) -> Tensor:
    """Map pixels to new classes.

    Args:
        mask: Classes, any shape, int64.
        table: New class of each class, 255 for none.
        ignore_index: Value of unlabelled pixels, which become 255.
    """
    labelled = mask != ignore_index
    known = (mask >= 0) & (mask < len(table))
    if (labelled & ~known).any():
        values = mask[labelled & ~known]
        raise ValueError(
            f"The class map has {len(table)} classes, but there are pixels of class "
            f"{values.min()}..{values.max()}; is it the map of this data set and this segmenter?"
        )
    new = torch.tensor([*table, IGNORE], device=mask.device)
    return new[torch.where(labelled, mask, len(table))]
