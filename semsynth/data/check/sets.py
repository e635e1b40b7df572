"""Checks of samples together, for ``semsynth data``, training and prediction."""

import logging
from collections.abc import Sequence

import numpy as np

from semsynth.data.check.scan import (
    UNREADABLE,
    Scanned,
    cache_directory,
    digest_of,
    problems_of,
    scan,
    warnings_of,
)
from semsynth.data.errors import DataError, Problem, describe_problems
from semsynth.data.labels import Colour
from semsynth.data.pairs import Pair
from semsynth.data.pixels import DepthError, Range, require_full_range

CHECKED = "checked-2"  # counts the rules, so that files passed by fewer of them are checked again
NO_LABEL = "no label"
PALETTES_DIFFER = "palettes differ"
DEPTH = "unknown range of values"

logger = logging.getLogger(__name__)


def check_pairs(
    pairs: Sequence[Pair],
    lookup: np.ndarray,
    skip_unreadable: bool = False,
    training: bool = False,
    value_range: Range | None = None,
) -> None:
    """Scan the files of some samples before use; good ones are cached.

    With ``skip_unreadable``, unreadable files only raise a warning that lists them. ``training``
    samples must teach more than one class. Photos of more than eight bits need a ``value_range``,
    unless they use the full one.
    """
    name = digest_of(pairs, lookup) + "-training" * training + "-range" * bool(value_range)
    marker = cache_directory() / CHECKED / name
    if marker.exists():
        return
    samples = scan(pairs, lookup)
    of_set = problems_of_set(pairs, samples, lookup, training, value_range)
    if warnings := warnings_of(samples):
        logger.warning("%s", describe_problems(warnings, len(pairs), "deserve a look"))
    if problems := problems_of(samples) + of_set:
        text = describe_problems(problems, len(pairs))
        if not skip_unreadable or any(p.kind not in UNREADABLE for p in problems):
            raise DataError(text)
        logger.warning("%s\nThey will be skipped.", text)
        return
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()


def problems_of_set(
    pairs: Sequence[Pair],
    samples: Sequence[Scanned],
    lookup: np.ndarray,
    training: bool,
    value_range: Range | None,
) -> list[Problem]:
    """Problems of a split that none of its samples has alone."""
    problems = _unknown_range(pairs, samples) if value_range is None else []
    good = [
        (pair, seen)
        for pair, seen in zip(pairs, samples, strict=True)
        if pair.labels and seen.mask_size and not seen.problems
    ]
    if not good:
        return problems
    problems += _differing_palettes(good)
    counts = np.sum([seen.counts for _, seen in good], axis=0)
    if training and (text := _too_few_classes(counts, int(lookup[lookup < 255].max()) + 1)):
        folder = good[0][0].labels[0].parent
        problems.append(Problem(NO_LABEL, folder, f"{folder} {text}"))
    return problems


def extent_of_set(samples: Sequence[Scanned]) -> Range | None:
    """Lowest and highest value of the photos of more than eight bits."""
    found = [seen.extent for seen in samples if seen.extent is not None]
    return (min(low for low, _ in found), max(high for _, high in found)) if found else None


def _unknown_range(pairs: Sequence[Pair], samples: Sequence[Scanned]) -> list[Problem]:
    """A problem if photos have more than eight bits, but not the full range of sixteen."""
    extent = extent_of_set(samples)
    if extent is None:
        return []
    try:
        require_full_range(extent)
    except DepthError as error:
        deep = next(pair for pair, seen in zip(pairs, samples, strict=True) if seen.extent)
        assert deep.image is not None
        folder = deep.image.parent
        return [Problem(DEPTH, folder, f"{folder} {error}")]
    return []


def _too_few_classes(counts: np.ndarray, num_classes: int) -> str | None:
    """What is wrong if no class, or one beside unlabelled pixels, is in training label maps."""
    seen, unlabelled = np.flatnonzero(counts[:num_classes]), counts[num_classes:].any()
    if not len(seen):
        return "has no label: all pixels are unlabelled. Label some, or leave out the split."
    if len(seen) > 1 or num_classes == 1 or not unlabelled:
        return None
    other = 1 if seen[0] == 0 else 0
    return (
        f"holds one of {num_classes} classes, {seen[0]}, and all else is unlabelled (255). If 255 "
        f"is a class, convert it: semsynth data prepare folder --root ROOT --data.num_classes "
        f"{num_classes} --map 255={other}"
    )


def _differing_palettes(good: Sequence[tuple[Pair, Scanned]]) -> list[Problem]:
    """All label maps with a palette, if a colour has one value in some and another in others."""
    coloured = [(pair.labels[0], seen.palette) for pair, seen in good if seen.palette]
    values: dict[Colour, tuple[set[int], str]] = {}
    for file, palette in coloured:
        for colour in set(palette.values()):
            own = {value for value, painted in palette.items() if painted == colour}
            known, first = values.setdefault(colour, (own, file.name))
            if known.isdisjoint(own):
                text = (
                    f"belongs to a set whose palettes differ: {colour} is {min(known)} in {first} "
                    f"and {min(own)} in {file.name}. If colours are the classes, list them in "
                    "ROOT/classes.txt and use semsynth data check --fix-palette; if the values "
                    "are, drop the palettes: semsynth data prepare folder --root ROOT --map 0=0"
                )
                return [Problem(PALETTES_DIFFER, f, f"{f} {text}") for f, _ in coloured]
    return []
