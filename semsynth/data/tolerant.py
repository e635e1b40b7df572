"""Unreadable samples during training: stop, or skip them."""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from torch.utils.data import Dataset

from semsynth.data.errors import DataError
from semsynth.data.sampling import SeededIndex

OnBadFile = Literal["stop", "skip"]
UNREAD = "unread"
"""Key of a sample: errors of unreadable ones before it, one per line; mostly empty."""

logger = logging.getLogger(__name__)


class Tolerant(Dataset[dict[str, Any]]):
    """Replaces an unreadable sample by the next readable one.

    Batches keep their size, and a resumed training reads the same samples. ``ids`` are the
    positions of the usable samples.
    """

    def __init__(self, dataset: Dataset[dict[str, Any]], ids: Sequence[int]) -> None:
        self.dataset = dataset
        self.ids = list(ids)
        self.place = {position: i for i, position in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> dict[str, Any]:
        """A sample, with the errors of those that it replaces."""
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
    """Counts replaced samples, and reports each bad file once."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def take(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Remove the errors from a batch and count them."""
        for line in filter(None, "\n".join(batch.get(UNREAD, ())).splitlines()):
            if not self.counts[line]:
                logger.warning("%s Skipped; the next sample replaces it.", line)
            self.counts[line] += 1
        return {key: value for key, value in batch.items() if key != UNREAD}

    def summarise(self) -> None:
        """Report how many samples were replaced, if any."""
        if self.counts:
            listed = (f"{line} ({number} times)" for line, number in self.counts.items())
            logger.warning("Skipped samples: %d. %s", self.counts.total(), " ".join(listed))
