"""Samples that cannot be read in the middle of a training: stop, or continue with others."""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from torch.utils.data import Dataset

from semsynth.data.errors import DataError
from semsynth.data.sampling import SeededIndex

OnBadFile = Literal["stop", "skip"]
UNREAD = "unread"
"""Key of a sample: why others before it could not be read, one per line; empty for most."""

logger = logging.getLogger(__name__)


class Tolerant(Dataset[dict[str, Any]]):
    """Gives the next readable sample in place of one that cannot be read.

    Batches keep their size, and a resumed training reads the same samples. ``ids`` are the
    positions of the samples that may be read.
    """

    def __init__(self, dataset: Dataset[dict[str, Any]], ids: Sequence[int]) -> None:
        self.dataset = dataset
        self.ids = list(ids)
        self.place = {position: i for i, position in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> dict[str, Any]:
        """A sample, with the errors of those that it stands in for."""
        first = self.place[index]
        errors: list[str] = []
        for step in range(len(self.ids)):
            position = self.ids[(first + step) % len(self.ids)]
            if isinstance(index, SeededIndex):
                position = SeededIndex(position, index.seed)
            try:
                return self.dataset[position] | {UNREAD: "\n".join(errors)}
            except DataError as error:
                errors.append(str(error))
        raise DataError(f"No sample can be read. The first: {errors[0]}")


class SkipCount:
    """Counts the samples that were replaced, and names each bad file once."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def take(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The batch without its errors, which are counted."""
        for line in filter(None, "\n".join(batch.get(UNREAD, ())).splitlines()):
            if not self.counts[line]:
                logger.warning("%s Skipped; the next sample replaces it.", line)
            self.counts[line] += 1
        return {key: value for key, value in batch.items() if key != UNREAD}

    def summarise(self) -> None:
        """Say how many samples were replaced, if any."""
        if self.counts:
            listed = (f"{line} ({number} times)" for line, number in self.counts.items())
            logger.warning("Skipped samples: %d. %s", self.counts.total(), " ".join(listed))
