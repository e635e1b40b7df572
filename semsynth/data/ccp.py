"""Clothing Co-Parsing (Yang, Luo and Lin, CVPR 2014): folders, and what converts it to them."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from semsynth.data.base import Archives, ImageSize, Split
from semsynth.data.check.scan import NO_CLASS, OTHER_SHAPE, in_threads
from semsynth.data.decode import read_image
from semsynth.data.disk import PairsOnDisk
from semsynth.data.errors import DataError, Problem
from semsynth.data.labels import SPACES, official_space
from semsynth.data.pairs import NO_PARTNER, Pair, find_pairs
from semsynth.files import replaced, write_text

PHOTOS, ANNOTATIONS, TAGS = "photos", "annotations/pixel-level", "label_list.mat"
CLASSES = "classes.txt"
FIRST_VAL, FIRST_TEST = 805, 855
ASPECT = (3, 2)  # height and width
# fmt: off
GROUPS = {
    "background": ("null",),
    "skin": ("skin",),
    "hair": ("hair",),
    "top": (
        "blouse", "bodysuit", "bra", "hoodie", "intimate", "jumper", "shirt", "sweater",
        "sweatshirt", "t-shirt", "top", "swimwear",
    ),
    "outer": ("blazer", "cape", "cardigan", "coat", "jacket", "suit", "vest"),
    "dress": ("dress", "romper"),
    "skirt": ("skirt",),
    "trousers": ("jeans", "leggings", "pants", "shorts", "panties"),
    "legwear": ("socks", "stockings", "tights"),
    "shoes": (
        "boots", "clogs", "flats", "heels", "loafers", "pumps", "sandals", "shoes", "sneakers",
        "wedges",
    ),
    "bag": ("bag", "purse", "wallet"),
    "hat": ("hat",),
    "eyewear": ("glasses", "sunglasses"),
    "accessory": (
        "accessories", "belt", "bracelet", "earrings", "gloves", "necklace", "ring", "scarf",
        "tie", "watch",
    ),
}
# fmt: on
"""Our 14 classes from the 59 tags."""


class CCP(PairsOnDisk):
    """804 training, 50 validation and 150 test persons of 14 classes.

    The data set has no split; ours is by number: 0001 to 0804, 0805 to 0854, 0855 to 1004. The 59
    tags are merged to 14 classes.

    Args:
        root: The published tree, once ``semsynth data prepare ccp`` has converted it; or what that
            wrote, ``{train,val,test}/{images,labels}``.
        image_size: Height and width, or one number for both; the aspect ratio is not kept.
    """

    ARCHIVES = Archives(
        "https://github.com/bearpaw/clothing-co-parsing", (PHOTOS, "annotations", TAGS)
    )
    EXPECTED: ClassVar[dict[Split, int]] = {"train": 804, "val": 50, "test": 150}

    def __init__(self, root: str, image_size: ImageSize = (192, 128), **kwargs: Any) -> None:
        super().__init__(root, official_space("ccp"), image_size=image_size, **kwargs)

    @property
    def is_published(self) -> bool:
        """Whether the root holds the annotations as they are published."""
        return (self.root / ANNOTATIONS).is_dir()

    def pairs(self, split: Split) -> list[Pair]:
        """The files of ``images`` and ``labels``, paired by stem."""
        folders = self.root / "prepared" if self.is_published else self.root
        if self.is_published and not (folders / CLASSES).is_file():
            raise DataError(
                f"{self.root} holds annotations as they are published; convert them by "
                f"`semsynth data prepare ccp --root {self.root}`."
            )
        return find_pairs(folders / split / "images", folders / split / "labels")


def annotation_files(root: Path) -> list[Path]:
    """The annotations of pixels, sorted."""
    return sorted((root / ANNOTATIONS).glob("*.mat"))


def convert(root: Path, output: Path, workers: int | None = None) -> list[Problem]:
    """Write photos and label maps of the published tree to folders; finished files are kept.

    Both are cropped to an aspect ratio of 2:3 around their centre, at the published size.
    """
    space, classes = official_space("ccp"), classes_of_tags(root / TAGS)
    palette = np.array(space.palette, np.uint8).tobytes()

    def write(file: Path) -> list[Problem]:
        folder = output / split_of(file)
        photo, label = (
            folder / kind / f"{file.stem}{suffix}"
            for kind, suffix in (("images", ".jpg"), ("labels", ".png"))
        )
        if photo.exists() and label.exists():
            return []
        try:
            image, values = read_sample(root, file)
        except SampleError as error:
            return [error.problem]
        if values.max() >= len(classes):
            text = f"{file} holds {values.max()}, which is no tag of {TAGS}; get both again."
            return [Problem(NO_CLASS, file, text)]
        mask = Image.fromarray(classes[values])
        mask.putpalette(palette)  # for viewers; the values are classes
        with replaced(photo) as temporary:
            Image.fromarray(image).save(temporary, "JPEG", quality=95, subsampling=0)
        with replaced(label) as temporary:
            mask.save(temporary, "PNG")
        return []

    files = annotation_files(root)
    found = in_threads(write, files, f"Converting {len(files)} samples", workers)
    problems = [problem for of_one in found for problem in of_one]
    if not problems:  # names and colours, and the sign that all is there
        write_text(output / CLASSES, (SPACES / "ccp.txt").read_text())
    return problems


class SampleError(DataError):
    """A sample of the published tree cannot be converted; ``problem`` says why."""

    def __init__(self, kind: str, file: Path, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(kind, file, message)


def read_sample(root: Path, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Photo (H, W, 3), uint8, and tags (H, W) of an annotation, cropped."""
    photo = root / PHOTOS / f"{file.stem}.jpg"
    if not photo.is_file():
        text = f"{file} has no image: expected {photo} ; add it or remove both."
        raise SampleError(NO_PARTNER, file, text)
    try:
        image = read_image(photo).permute(1, 2, 0).numpy()
        values = np.asarray(read_matlab(file, "groundtruth"))
    except DataError as error:
        raise SampleError("damaged file", file, str(error)) from error
    if image.shape[:2] != values.shape:
        sizes = " and ".join(f"{a.shape[1]}x{a.shape[0]}" for a in (values, image))
        text = f"{file} and {photo} are {sizes}; get both again."
        raise SampleError(OTHER_SHAPE, file, text)
    rows, columns = centred(values.shape[0], values.shape[1])
    return image[rows, columns], values[rows, columns]


def centred(height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the largest centred box of 2:3."""
    unit = min(height / ASPECT[0], width / ASPECT[1])
    H, W = (round(unit * part) for part in ASPECT)
    top, left = (height - H) // 2, (width - W) // 2
    return slice(top, top + H), slice(left, left + W)


def classes_of_tags(file: Path) -> np.ndarray:
    """Class of each value of an annotation (59,), uint8, by the list of tags."""
    class_of = {tag: i for i, tags in enumerate(GROUPS.values()) for tag in tags}
    tags = [str(tag) for tag in read_matlab(file, "label_list")]
    if unknown := [tag for tag in tags if tag not in class_of]:
        raise DataError(f"{file} holds the unknown tag {unknown[0]!r}; get the published file.")
    return np.array([class_of[tag] for tag in tags], np.uint8)


def read_matlab(file: Path, name: str) -> Any:
    """A variable of a MATLAB file of version 5."""
    from scipy.io import loadmat  # here, because preparing alone needs it

    try:
        return loadmat(file, variable_names=[name], simplify_cells=True)[name]
    except KeyError as error:
        raise DataError(f"{file} has no variable {name}; get the published file.") from error
    except Exception as error:  # what a damaged file raises is not documented
        reason = " ".join(str(error).split())
        raise DataError(f"{file} cannot be read ({reason}); get it again.") from error


def split_of(file: Path) -> Split:
    """The split of an annotation by its number."""
    if not file.stem.isdigit():
        raise DataError(f"{file} is not an annotation such as 0001.mat. Remove it.")
    number = int(file.stem)
    return "train" if number < FIRST_VAL else "val" if number < FIRST_TEST else "test"
