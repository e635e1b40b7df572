"""Annotations of a labelling tool as a folder of photos, label maps and instance maps."""

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from semsynth.data.annotations.coco import read_coco
from semsynth.data.annotations.cvat import parse_xml, read_cvat
from semsynth.data.annotations.label_studio import read_label_studio
from semsynth.data.annotations.labelme import read_labelme
from semsynth.data.annotations.regions import Annotated, paint
from semsynth.data.check.scan import in_threads
from semsynth.data.decode import opened_image, size_as_shown
from semsynth.data.errors import DataError, Problem, describe_problems
from semsynth.data.folder import MOST_CLASSES
from semsynth.data.labels import distinct_palette, read_classes, write_classes
from semsynth.files import link
from semsynth.images import save_instances, save_mask

FORMATS: dict[str, Callable[[Any], tuple[list[Annotated], list[str], int]]] = {
    "coco": read_coco,
    "labelme": read_labelme,
    "cvat": read_cvat,
    "labelstudio": read_label_studio,
}
INVALID = (AttributeError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError)
UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # Label Studio's prefix of uploaded files
SPLITS = ("train", "val", "test")


class Sample(NamedTuple):
    """A photo to write: its name in the folder, its file and its annotation."""

    name: str
    file: Path
    annotated: Annotated


def convert(
    kind: str,
    annotations: Path,
    images: Path | None,
    output: Path,
    shares: Sequence[float],
    background: str | None = None,
    workers: int | None = None,
    say: Callable[[str], object] = lambda text: None,
) -> None:
    """Write ``OUTPUT/{train,val,test}/{images,labels,instances}`` and ``classes.txt``.

    Photos are linked, or copied to another disk. A split is renamed when it is complete.

    Args:
        kind: What the file should be, one of ``FORMATS``.
        annotations: Its file; for labelme also a directory of files.
        images: Directory of the photos; that of the file by default.
        output: Directory to write; a ``classes.txt`` in it gives the order of the classes.
        shares: Shares of train, val and test.
        background: Class of the pixels outside all regions, which are unlabelled by default.
        workers: Threads; by default a few more than cores.
        say: Called with messages.
    """
    photos, listed, left_out = read_annotations(kind, annotations)
    classes = choose_classes(photos, listed, output / "classes.txt", background)
    samples = find_photos(photos, images or (annotations.parent, annotations)[annotations.is_dir()])
    parts = {split: part for split, part in split_samples(samples, shares).items() if part}
    for split in parts:
        if (output / split).exists():
            raise DataError(f"{output / split} exists; choose another --output, or remove it.")
    for split, part in parts.items():
        unfinished = output / f".{split}.part"
        shutil.rmtree(unfinished, ignore_errors=True)

        def write(sample: Sample, folder: Path = unfinished) -> list[Problem]:
            return write_sample(sample, classes, background, folder)

        found = in_threads(write, part, f"Painting {len(part)} label maps of {split}", workers)
        if problems := [problem for of_one in found for problem in of_one]:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise DataError(describe_problems(problems, len(part)))
        if not (output / "classes.txt").exists():
            write_classes(output / "classes.txt", classes, distinct_palette(len(classes)))
        unfinished.replace(output / split)
    counts = ", ".join(f"{len(part)} in {split}" for split, part in parts.items())
    say(f"wrote {len(samples)} photos ({counts}) with {len(classes)} classes to {output}")
    if left_out:
        say(f"left out {left_out} annotations without an area, such as points, lines or bare boxes")
    say(f"train with --data Folder --data.root {output} --data.num_classes {len(classes)}")


def read_annotations(kind: str, path: Path) -> tuple[list[Annotated], list[str], int]:
    """Photos, classes if the file lists them, and the number of annotations without an area."""
    files = sorted(path.glob("*.json")) if path.is_dir() and kind == "labelme" else [path]
    if not files:
        raise DataError(f"{path} has no JSON files; give the directory that labelme wrote.")
    photos: list[Annotated] = []
    names: list[str] = []
    left_out = 0
    for file in files:
        try:
            found, listed, without = read_file(kind, file.read_bytes())
        except INVALID as error:
            reason = f"there is no {error}" if isinstance(error, KeyError) else error
            raise DataError(f"{file} cannot be read as {kind} annotations: {reason}") from error
        photos, names, left_out = photos + found, names + listed, left_out + without
    return photos, names, left_out


def read_file(kind: str, content: bytes) -> tuple[list[Annotated], list[str], int]:
    """Photos, classes and the number of annotations without an area of one file."""
    if (found := kind_of(content)) != kind:
        raise DataError(f"it looks like {found}'s; try semsynth data prepare {found}.")
    return FORMATS[kind](parse_xml(content) if kind == "cvat" else json.loads(content))


def kind_of(content: bytes) -> str:
    """The format of a file by its content."""
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return "cvat"
    parsed = json.loads(content)
    if isinstance(parsed, list):
        return "labelstudio"
    return "labelme" if "shapes" in parsed else "coco"


def choose_classes(
    photos: Sequence[Annotated], listed: Sequence[str], file: Path, background: str | None
) -> list[str]:
    """Classes in order: of ``classes.txt`` if there is one, else of the file, else by name."""
    used = {region.name for photo in photos for region in photo.regions}
    used |= set() if background is None else {background}
    if file.is_file():
        classes = list(read_classes(file)[0])
        if missing := sorted(used - set(classes)):
            raise DataError(f"{file} lacks the class {missing[0]!r}; add it, or remove the file.")
    else:
        first = [] if background is None else [background]
        classes = list(dict.fromkeys([*first, *listed, *sorted(used)]))
    if not 1 <= len(classes) <= MOST_CLASSES:
        raise DataError(f"there are {len(classes)} classes; expected 1 to {MOST_CLASSES}.")
    if odd := [name for name in classes if name != " ".join(name.split()) or not name]:
        raise DataError(
            f"the class {odd[0]!r} has no name of one line; rename it and export again."
        )
    return classes


def find_photos(photos: Sequence[Annotated], directory: Path) -> list[Sample]:
    """The file of each photo, whose size must be that of its annotation."""
    samples, problems = [], []
    files = [find_photo(Path(photo.photo), directory) for photo in photos]
    stems = Counter(file.stem for file in files)
    for photo, file in zip(photos, files, strict=True):
        folders = [part for part in Path(photo.photo).parent.parts if part not in ("/", "..")]
        name = file.stem if stems[file.stem] == 1 else "_".join([*folders, file.stem])
        samples.append(Sample(name, file, photo))
        try:
            with opened_image(file) as opened:
                H, W = size_as_shown(opened)
        except DataError as error:
            problems.append(Problem("photo", file, f"{error} Looked in {directory}; see --images."))
            continue
        if photo.size != (H, W):
            expected = f"{photo.size[1]}x{photo.size[0]}"
            text = f"{file} is {W}x{H}, but was annotated as {expected}; use the original photo."
            problems.append(Problem("size", file, text))
    names = Counter(sample.name for sample in samples)
    twice = [sample.file for sample in samples if names[sample.name] > 1]
    problems += [Problem("name", f, f"{f} has the name of another; rename one.") for f in twice]
    if problems:
        raise DataError(describe_problems(problems, len(photos)))
    return samples


def find_photo(path: Path, directory: Path) -> Path:
    """A photo at its path below a directory or directly in it, without what uploads prepend."""
    places = [directory / p for p in (path, path.name, UPLOADED.sub("", path.name))]
    return next((place for place in places if place.is_file()), places[1])


def split_samples(samples: Sequence[Sample], shares: Sequence[float]) -> dict[str, list[Sample]]:
    """Samples of each split, in an order by the hash of their names."""
    order = sorted(samples, key=lambda s: hashlib.sha256(s.name.encode()).hexdigest())
    N = len(order)
    first = max(int(N * shares[0] + 1e-6), int(shares[0] > 0))
    second = N if shares[2] == 0 else max(first, int(N * (shares[0] + shares[1]) + 1e-6))
    return dict(zip(SPLITS, (order[:first], order[first:second], order[second:]), strict=True))


def write_sample(
    sample: Sample, classes: Sequence[str], background: str | None, folder: Path
) -> list[Problem]:
    """Write photo, label map and instance map of a sample."""
    try:
        mask, instance = paint(sample.annotated, classes, background)
    except DataError as error:
        return [Problem("annotation", sample.file, f"{sample.file}: {error}")]
    name = f"{sample.name}.png"
    save_mask(torch.from_numpy(mask), folder / "labels" / name)
    save_instances(torch.from_numpy(instance), folder / "instances" / name)
    link(sample.file, folder / "images" / f"{sample.name}{sample.file.suffix}")
    return []
