"""Your own data: a folder of images and a folder of masks, paired by stem."""

from pathlib import Path

from torch.utils.data import Dataset

from semsynth.data.base import (
    Batch,
    DataError,
    LabelSpace,
    Split,
    SynthesisDataModule,
    distinct_palette,
)
from semsynth.data.pairs import MaskDataset, Pair, PairsOnDisk, find_pairs, list_images


class Folder(PairsOnDisk):
    """``ROOT/{train,val,test}/{images,labels}``, masks with one channel of class indices.

    Mask values are 0 to ``num_classes`` - 1, and 255 where there is no label. Without ``test`` the
    validation split is tested. ``ROOT/classes.txt``, if it is there, names the classes, one a line.

    Args:
        root: Directory of the data set.
        num_classes: Classes of the masks.
        image_size: Height and width, or one number for both; the aspect ratio is not kept.
        load_size: Training images are resized to this and cropped at random; no crop if not given.
        flip: Flip training samples with probability 0.5.
        batch_size: Training samples a process and step.
        eval_batch_size: Samples a process and step in validation, test and prediction.
        num_workers: Loader processes; 0 loads in the training process.
    """

    def __init__(
        self,
        root: str,
        num_classes: int,
        image_size: int | tuple[int, int] = 256,
        load_size: int | tuple[int, int] | None = None,
        flip: bool = True,
        batch_size: int = 4,
        eval_batch_size: int = 8,
        num_workers: int = 2,
    ) -> None:
        names = read_class_names(Path(root) / "classes.txt", num_classes)
        space = LabelSpace(names, distinct_palette(num_classes))
        super().__init__(
            root, space, image_size, load_size, flip, batch_size, eval_batch_size, num_workers
        )

    def pairs(self, split: Split) -> list[Pair]:
        """The files of ``images`` and ``labels``, paired by stem."""
        folder = self.root / split
        if split == "test" and not folder.is_dir():
            folder = self.root / "val"
        return find_pairs(folder / "images", folder / "labels")


class MaskFolder(SynthesisDataModule):
    """A folder of masks to synthesise from, in the label space that a model was trained with.

    Args:
        root: Directory of the masks.
        trained_on: The data module of the training, for label space, encoding and image size.
    """

    def __init__(self, root: str, trained_on: SynthesisDataModule) -> None:
        super().__init__(
            trained_on.label_space, trained_on.image_size, 1, trained_on.eval_batch_size, 0
        )
        self.root = Path(root)
        self.trained_on = trained_on

    def dataset(self, split: Split) -> Dataset[Batch]:
        """All masks of the folder."""
        files = list(list_images(self.root).values())
        return MaskDataset(files, self.trained_on.lookup(), self.image_size)


def read_class_names(file: Path, num_classes: int) -> tuple[str, ...]:
    """Names of classes from a file with one a line, or numbers if there is no such file.

    Raises:
        DataError: The file has another number of names.
    """
    if not file.is_file():
        return tuple(f"class {i}" for i in range(num_classes))
    names = tuple(line.strip() for line in file.read_text().splitlines() if line.strip())
    if len(names) != num_classes:
        raise DataError(
            f"{file} names {len(names)} classes and num_classes is {num_classes}; make them agree."
        )
    return names
