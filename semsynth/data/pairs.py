"""Which photos and label maps belong together."""

import unicodedata
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from semsynth.data.errors import DataError, MissingSplitError, PairingError, Problem

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
DUPLICATE_STEM = "duplicate stem"
NO_PARTNER = "missing partner"
NAME = "NAME"


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
    """Image files of a directory by stem, in composed Unicode, sorted; of equal stems the first.

    Equal stems are appended to ``problems``, or raise a ``PairingError`` without it.
    """
    if not directory.is_dir():
        raise DataError(f"There is no directory {directory}; check the root of the data set.")
    files = image_files(directory)
    if not files:
        deeper = [f"{sub} has {len(image_files(sub))}" for sub in folders_of_images(directory)]
        hint = f" {', '.join(deeper)}; give that one, or move its files up." if deeper else ""
        raise DataError(
            f"{directory} has no images; expected files ending in {', '.join(IMAGE_SUFFIXES)}."
            + hint
        )
    by_stem = {stem_of(p): p for p in reversed(files)}
    twice = [
        Problem(DUPLICATE_STEM, p, f"{p} and {by_stem[stem_of(p)]} have the same stem; remove one.")
        for p in files
        if by_stem[stem_of(p)] != p
    ]
    if twice and problems is None:
        raise PairingError(twice, [])
    if problems is not None:
        problems += twice
    return {stem_of(p): p for p in files if by_stem[stem_of(p)] == p}


def is_image(path: Path) -> bool:
    """Whether a path is listed as an image: a file, or a broken link, which is reported later.

    Hidden files such as ``._a.png`` are not.
    """
    is_broken = path.is_symlink() and not path.exists()
    listed = path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != "."
    return listed and (path.is_file() or is_broken)


def image_files(directory: Path) -> list[Path]:
    """Image files of a directory by their suffix, sorted."""
    return sorted(path for path in directory.iterdir() if is_image(path))


def folders_of_images(directory: Path) -> list[Path]:
    """Sub-directories with images, sorted; not hidden ones."""
    folders = sorted(p for p in directory.iterdir() if p.is_dir() and p.name[0] != ".")
    return [folder for folder in folders if image_files(folder)]


def stem_of(file: Path) -> str:
    """The stem of a file in composed Unicode: macOS decomposes accents, others do not."""
    return unicodedata.normalize("NFC", file.stem)


def find_pairs(images: Path, masks: Path, label_name: str = NAME) -> list[Pair]:
    """Pair the files of two directories by stem; ``MissingSplitError`` if both are missing.

    ``label_name`` is the stem of a label map, with ``NAME`` in place of the photo's.
    """
    if not images.exists() and not masks.exists():
        raise MissingSplitError(images, masks)
    problems: list[Problem] = []
    image_files, mask_files = list_images(images, problems), list_images(masks, problems)
    label_of = {label_name.replace(NAME, name): name for name in image_files}
    mask_files = {label_of.get(stem, stem): file for stem, file in mask_files.items()}
    matched = image_files.keys() & mask_files
    if pattern := None if matched else _pattern(image_files.keys(), mask_files.keys()):
        raise DataError(
            f"The label maps in {masks} are called {pattern}, where NAME is the photo's; rename "
            f"them, or, for a Folder, give --data.label_name {pattern}."
        )
    places = (str(images / "NAME.*"), str(masks / f"{label_name}.*"))
    return pair_by_name(image_files, mask_files, places, problems)


def _pattern(photos: AbstractSet[str], labels: AbstractSet[str]) -> str | None:
    """What names all label maps by the photos, such as ``NAME_mask``, if anything does."""
    photo = max(photos, key=len)
    patterns = [NAME + x.removeprefix(photo) for x in labels if x.startswith(photo)]
    patterns += [x.removesuffix(photo) + NAME for x in labels if x.endswith(photo)]
    named = [p for p in patterns if {p.replace(NAME, photo) for photo in photos} == labels]
    return next((p for p in named if any(c.isalpha() for c in p.replace(NAME, ""))), None)


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
    alone = sorted(images.keys() ^ labels.keys())
    files = ((name in images, name.casefold(), images.get(name) or labels[name]) for name in alone)
    other_case = {(is_image, name): file for is_image, name, file in files}
    for name in alone:
        has_image = name in images
        file, what = (images[name], "mask") if has_image else (labels[name], "image")
        place = places[has_image].replace("NAME", name)
        text = f"{file} has no {what}: expected {place} ; add it or remove both."
        if twin := other_case.get((not has_image, name.casefold())):
            text = f"{file} and {twin} differ in upper and lower case; rename one."
        problems.append(Problem(NO_PARTNER, file, text))
    pairs = [Pair(name, file, (labels[name],)) for name, file in images.items() if name in labels]
    if problems:
        raise PairingError(problems, pairs)
    return pairs
