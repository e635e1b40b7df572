"""Which photos and label maps belong together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from semsynth.data.errors import DataError, MissingSplitError, PairingError, Problem

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
DUPLICATE_STEM = "duplicate stem"
NO_PARTNER = "missing partner"


@dataclass(frozen=True)
class Pair:
    """The files of one sample.

    Attributes:
        name: Its name, unique in the split.
        image: The photo; None without one.
        labels: The label map, or one file per part; empty without labels.
        part_classes: Class of each part, painted in this order where the file is not 0, on
            background 0; empty for a single label map.
        colours: Value of each colour of a label map in colour; empty for one that holds values.
        instance: The instance map.
        codes: Stored latent codes of the photo.
    """

    name: str
    image: Path | None
    labels: tuple[Path, ...]
    part_classes: tuple[int, ...] = ()
    colours: tuple[tuple[tuple[int, int, int], int], ...] = ()
    instance: Path | None = None
    codes: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files."""
        single = (self.image, self.instance, self.codes)
        return self.labels + tuple(file for file in single if file is not None)


def list_images(directory: Path, problems: list[Problem] | None = None) -> dict[str, Path]:
    """Image files of a directory by stem, sorted; of equal stems the first.

    Equal stems are appended to ``problems``, or raise a ``PairingError`` without it.
    """
    if not directory.is_dir():
        raise DataError(f"There is no directory {directory}; check the root of the data set.")
    files = sorted(p for p in directory.iterdir() if is_image(p))
    if not files:
        raise DataError(
            f"{directory} has no images; expected files ending in {', '.join(IMAGE_SUFFIXES)}."
        )
    by_stem = {p.stem: p for p in reversed(files)}
    twice = [
        Problem(DUPLICATE_STEM, p, f"{p} and {by_stem[p.stem]} have the same stem; remove one.")
        for p in files
        if by_stem[p.stem] != p
    ]
    if twice and problems is None:
        raise PairingError(twice, [])
    if problems is not None:
        problems += twice
    return {p.stem: p for p in files if by_stem[p.stem] == p}


def is_image(path: Path) -> bool:
    """Whether a path is listed as an image: a file, or a broken link, which is reported later."""
    is_broken = path.is_symlink() and not path.exists()
    return path.suffix.lower() in IMAGE_SUFFIXES and (path.is_file() or is_broken)


def find_pairs(images: Path, masks: Path) -> list[Pair]:
    """Pair the files of two directories by stem; ``MissingSplitError`` if both are missing."""
    if not images.exists() and not masks.exists():
        raise MissingSplitError(images, masks)
    problems: list[Problem] = []
    image_files, mask_files = list_images(images, problems), list_images(masks, problems)
    places = (str(images / "NAME.*"), str(masks / "NAME.*"))
    return pair_by_name(image_files, mask_files, places, problems)


def pair_by_name(
    images: Mapping[str, Path],
    labels: Mapping[str, Path],
    places: tuple[str, str],
    problems: list[Problem],
) -> list[Pair]:
    """Pair photos and label maps of the same name, in the order of the photos.

    A ``PairingError`` lists files without a partner, whose ``places`` contain ``NAME``, and earlier
    ``problems``.
    """
    for name in sorted(images.keys() ^ labels.keys()):
        has_image = name in images
        file, what = (images[name], "mask") if has_image else (labels[name], "image")
        place = places[has_image].replace("NAME", name)
        text = f"{file} has no {what}: expected {place} ; add it or remove both."
        problems.append(Problem(NO_PARTNER, file, text))
    pairs = [Pair(name, file, (labels[name],)) for name, file in images.items() if name in labels]
    if problems:
        raise PairingError(problems, pairs)
    return pairs
