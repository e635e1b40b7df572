"""Your own data: a folder of images and a folder of masks, paired by stem."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from semsynth.data.base import Batch, Split, SynthesisDataModule
from semsynth.data.check.sets import check_pairs
from semsynth.data.disk import PairDataset, PairsOnDisk
from semsynth.data.errors import DataError
from semsynth.data.labels import LabelSpace, distinct_palette, read_classes
from semsynth.data.pairs import NAME, Pair, find_pairs, list_images
from semsynth.data.pixels import FULL
from semsynth.data.sparse import require_marks
from semsynth.data.transforms import PairTransform

MOST_CLASSES = 255


class Folder(PairsOnDisk):
    """``ROOT/{train,val,test}/{images,labels}``, masks of class indices, grey or with a palette.

    Mask values are 0 to ``num_classes`` - 1, and 255 for unlabelled. Without ``test`` the
    validation split is tested. ``ROOT/classes.txt`` may name the classes, one per line, optionally
    with colours: ``sky #4682b4``. Instance maps, if any, are ``instances/NAME.png``.

    Args:
        root: Directory of the data set.
        num_classes: Classes of the masks; by default those of ``classes.txt``.
        label_name: Name of a label map without suffix, where NAME is the photo's: ``NAME_mask``.
    """

    def __init__(
        self,
        root: str,
        num_classes: int | None = None,
        label_name: str = NAME,
        **kwargs: Any,
    ) -> None:
        if NAME not in label_name:
            raise DataError(f"label_name must contain NAME, as NAME_mask does, got {label_name!r}.")
        self.label_name = label_name
        super().__init__(root, folder_space(Path(root) / "classes.txt", num_classes), **kwargs)

    def pairs(self, split: Split) -> list[Pair]:
        """The files of ``images`` and ``labels``, paired by stem."""
        folder = self.root / split
        if split == "test" and not folder.is_dir():
            folder = self.root / "val"
        pairs = find_pairs(folder / "images", folder / "labels", self.label_name)
        return with_instances(pairs, folder)


def with_instances(pairs: list[Pair], folder: Path) -> list[Pair]:
    """Pairs with their instance maps, if there is a directory ``instances`` of them."""
    directory = folder / "instances"
    if not directory.is_dir():
        return pairs
    return [replace(pair, instance=directory / f"{pair.name}.png") for pair in pairs]


class MaskFolder(SynthesisDataModule):
    """A folder of masks to synthesise from.

    Args:
        root: Directory of the masks.
        trained_on: The data module of the training, for label space, encoding and image size.
    """

    def __init__(self, root: str, trained_on: SynthesisDataModule) -> None:
        batch_size = trained_on.eval_batch_size
        space = trained_on.label_space
        super().__init__(space, trained_on.image_size, 1, batch_size, num_workers=0)
        self.root = Path(root)

    def dataset(self, split: Split) -> Dataset[Batch]:
        """All masks of the folder."""
        pairs = [Pair(name, None, (file,)) for name, file in list_images(self.root).items()]
        check_pairs(pairs, self.lookup())
        if self.label_space.unknown == 0:
            require_marks(pairs, self.lookup())
        return PairDataset(pairs, PairTransform(self.image_size, lookup=self.lookup()))


def read_reference(image: Path, mask: Path, trained_on: SynthesisDataModule) -> Batch:
    """A photo and its label map as a batch of one: ``image`` (1, 3, H, W) and ``mask`` (1, H, W).

    Label space, encoding and image size are those of the data module of the training.
    """
    for file in (image, mask):
        if not file.is_file():
            raise DataError(f"There is no file {file}; pass an image.")
    pairs = [Pair(image.stem, image, (mask,))]
    value_range = trained_on.range if isinstance(trained_on, PairsOnDisk) else None
    check_pairs(pairs, trained_on.lookup(), value_range=value_range)
    transform = PairTransform(trained_on.image_size, lookup=trained_on.lookup())
    sample = PairDataset(pairs, transform, value_range=value_range or FULL)[0]
    batch = {key: sample[key][None] for key in ("image", "mask")}
    return SynthesisDataModule.on_after_batch_transfer(trained_on, batch, 0)


def folder_space(file: Path, num_classes: int | None) -> LabelSpace:
    """Classes from a file (see ``read_classes``), or numbered ones if there is no such file."""
    if num_classes is None and not file.is_file():
        raise DataError(
            f"There is no {file} to name the classes, one per line; add it, or give their number: "
            "--data.num_classes N."
        )
    if num_classes is None:
        num_classes = len(read_classes(file)[0])
    if not 1 <= num_classes <= MOST_CLASSES:
        raise DataError(
            f"num_classes must be from 1 to {MOST_CLASSES}, got {num_classes}: label maps have "
            "eight bits, and 255 means unlabelled."
        )
    if not file.is_file():
        names = tuple(f"class {i}" for i in range(num_classes))
        return LabelSpace(names, distinct_palette(num_classes))
    names, palette = read_classes(file)
    if len(names) != num_classes:
        raise DataError(
            f"{file} has {len(names)} classes, but num_classes is {num_classes}; make them agree."
        )
    return LabelSpace(names, palette)
