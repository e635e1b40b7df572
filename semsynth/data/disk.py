"""Data modules whose splits are files: photos and label maps, read one at a time."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from semsynth.data.base import Batch, ImageSize, Split, SynthesisDataModule, height_and_width
from semsynth.data.cache import ResizedCache
from semsynth.data.check.sets import check_pairs
from semsynth.data.decode import read_image, read_labels, read_mask
from semsynth.data.errors import DataError
from semsynth.data.labels import LabelSpace
from semsynth.data.latents import read_codes
from semsynth.data.pairs import Pair
from semsynth.data.pixels import FULL, Range
from semsynth.data.tolerant import OnBadFile
from semsynth.data.transforms import PairTransform


class PairDataset(Dataset[Batch]):
    """Samples on disk, read and transformed one at a time.

    Args:
        pairs: Files of each sample.
        transform: Resizes, crops and mirrors photo and maps.
        cache: Directory that caches photos and maps at ``transform.load_size``, if given.
        exact: Decode large JPEGs at full size before resizing, as for the papers' scores; training
            decodes them at reduced size, in a fraction of the time.
        value_range: Values that are black and white in photos of more than eight bits.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        transform: PairTransform,
        cache: str | None = None,
        exact: bool = True,
        value_range: Range = FULL,
    ) -> None:
        self.pairs = pairs
        self.transform = transform
        self.at_least = None if exact else transform.load_size
        self.value_range = value_range
        self.photo = f"{'' if exact else 'reduced '}photo {value_range}"  # key of the cache
        self.cache = None if cache is None else ResizedCache(cache, transform.load_size)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Batch:
        """Photo (3, H, W), uint8, ``mask`` (H, W), uint8, and the sample's other keys."""
        pair, seed = self.pairs[index], getattr(index, "seed", index)
        image: Tensor | None = None
        maps: dict[str, Tensor] = {}
        if pair.image is not None:
            read = partial(read_image, pair.image, self.at_least, self.value_range)
            image = self._read(self.photo, (pair.image,), read)
        if pair.labels:
            maps["mask"] = self._read("mask", pair.labels, partial(read_labels, pair))
        if pair.instance is not None:
            read = partial(read_mask, pair.instance)
            maps["instance"] = self._read("instance", (pair.instance,), read)
        sample: Batch = dict(self.transform(image, maps, seed))
        if pair.codes is not None:
            sample["w_plus"] = read_codes(pair.codes)
        return sample | {"index": torch.tensor(index), "name": pair.name}

    def _read(self, what: str, files: tuple[Path, ...], read: Callable[[], Tensor]) -> Tensor:
        return read() if self.cache is None else self.cache.get(what, files, read)


class PairsOnDisk(SynthesisDataModule):
    """Data whose splits are files. Subclasses list them in ``pairs``.

    Args:
        root: Directory of the data set.
        label_space: Meaning of the mask values.
        load_size: Training images are resized to this and cropped at random; no crop if not given.
        flip: Mirror training samples with probability 0.5.
        cache: Directory that caches resized photos and maps, so that they are decoded once; it may
            be deleted at any time. None by default.
        on_bad_file: If a training file cannot be read, ``stop``; or ``skip``: read the next sample
            instead, with a warning and a count.
        range: Values that become black and white in photos of more than eight bits, ``0 4095`` for
            twelve; by default the photos must use the full range of sixteen.
    """

    def __init__(
        self,
        root: str,
        label_space: LabelSpace,
        load_size: ImageSize | None = None,
        flip: bool = True,
        cache: str | None = None,
        on_bad_file: OnBadFile = "stop",
        range: Range | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(label_space, **kwargs)
        self.root = Path(root)
        self.load_size = None if load_size is None else height_and_width(load_size)
        self.flip = flip
        self.cache = cache
        self.on_bad_file = on_bad_file
        if range is not None and not range[0] < range[1]:
            raise DataError(f"range must be [BLACK, WHITE], the lower value first, got {range}.")
        self.range = range
        self._listed: dict[Split, list[Pair]] = {}

    def pairs(self, split: Split) -> list[Pair]:
        """Files of each sample of a split, sorted by name."""
        raise TypeError(f"{type(self).__name__} does not implement pairs.")

    def names(self, split: Split) -> list[str]:
        """Name of each sample of a split."""
        return [pair.name for pair in self._pairs(split)]

    def dataset(self, split: Split) -> Dataset[Batch]:
        """All samples of a split."""
        exact = split != "train"
        return self._read_pairs(self._pairs(split), split, exact)

    def unlabelled_dataset(self) -> Dataset[Batch]:
        """All training photos; no label file is read."""
        pairs = [photo_alone(pair) for pair in self._pairs("train")]
        return self._read_pairs(pairs, "train", exact=False)

    def _read_pairs(self, pairs: Sequence[Pair], split: Split, exact: bool) -> PairDataset:
        return PairDataset(pairs, self.transform(split), self.cache, exact, self.range or FULL)

    def transform(self, split: Split) -> PairTransform:
        """The transform of a split."""
        training = split == "train"
        return PairTransform(
            self.image_size,
            self.load_size if training else None,
            training and self.flip,
            self.lookup(),
            self.label_space.flip_lookup(),
        )

    def check(self, split: Split, ids: Sequence[int], labels: bool = True) -> None:
        """Read every file once; good ones are cached."""
        pairs = [self._pairs(split)[i] for i in ids]
        skips = split == "train" and self.on_bad_file == "skip"
        chosen = pairs if labels else [photo_alone(pair) for pair in pairs]
        check_pairs(chosen, self.lookup(), skips, split == "train", self.range)

    def _pairs(self, split: Split) -> list[Pair]:
        if split not in self._listed:
            self._listed[split] = self.pairs(split)
        return self._listed[split]


def photo_alone(pair: Pair) -> Pair:
    """A pair without its labels."""
    return Pair(pair.name, pair.image, ())
