import logging
from collections.abc import Sequence
from typing import Any

import pytest
from torch.utils.data import Dataset

from semsynth.data.errors import DataError
from semsynth.data.sampling import SeededIndex
from semsynth.data.tolerant import SkipCount, Tolerant


class Samples(Dataset[dict[str, Any]]):
    """Ten samples that tell their position and seed, some of which cannot be read."""

    def __init__(self, *bad: int) -> None:
        self.bad = bad

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index in self.bad:
            raise DataError(f"{int(index)} is damaged.")
        return {"index": int(index), "seed": getattr(index, "seed", None)}


@pytest.mark.parametrize(
    ("bad", "ids", "asked", "index", "unread"),
    [
        ((), range(10), 3, 3, ""),
        ((3, 6), [8, 3, 6, 1], 3, 1, "3 is damaged.\n6 is damaged."),
        ((9,), [4, 9], 9, 4, "9 is damaged."),  # the first comes after the last
    ],
)
def test_the_next_readable_sample_takes_the_place_with_the_seed(
    bad: tuple[int, ...], ids: Sequence[int], asked: int, index: int, unread: str
) -> None:
    data = Tolerant(Samples(*bad), ids)
    assert data[SeededIndex(asked, 7)] == {"index": index, "seed": 7, "unread": unread}
    assert len(data) == 10


def test_no_good_sample_at_all_is_refused() -> None:
    with pytest.raises(DataError, match=r"No sample can be read\. The first: 2 is damaged"):
        Tolerant(Samples(1, 2), [1, 2])[2]


def test_an_error_of_the_code_is_not_skipped() -> None:
    class Broken(Samples):
        def __getitem__(self, index: int) -> dict[str, Any]:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Tolerant(Broken(), range(10))[0]


def test_each_bad_file_is_named_once_and_all_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    count = SkipCount()
    caplog.set_level(logging.WARNING)
    assert count.take({"index": 1, "unread": ["", "a is bad.\nb is bad."]}) == {"index": 1}
    count.take({"unread": ["a is bad.", ""]})
    assert [r.getMessage().partition(" Skipped")[0] for r in caplog.records] == [
        "a is bad.",
        "b is bad.",
    ]
    count.summarise()
    expected = "Skipped samples: 3. a is bad. (2 times) b is bad. (1 times)"
    assert caplog.records[-1].getMessage() == expected


def test_batches_without_faults_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    count, batch = SkipCount(), {"index": 1, "unread": ["", ""]}
    assert count.take(batch) == count.take({"index": 1}) == {"index": 1}
    count.summarise()
    assert not caplog.records
