from pathlib import Path

import pytest
from lightning import Trainer

from semsynth.data import DataError, ToyStreet
from semsynth.data.shots import Shots, choose_shots, read_names

NAMES = [str(i) for i in range(100)]


@pytest.mark.parametrize("listed", [("7", "3", "5"), ("700", "7", "3")])
def test_listed_names_of_the_split_come_first_in_their_order(listed: tuple[str, ...]) -> None:
    chosen = choose_shots(5, NAMES, listed=listed)
    assert chosen[:2] == choose_shots(2, NAMES, listed=listed) == [7, 3]
    assert choose_shots(2, NAMES, seed=0, listed=listed) != [7, 3]  # a seed replaces the list


def test_a_smaller_choice_is_part_of_a_larger_one() -> None:
    many = choose_shots(25, NAMES, seed=3)
    assert choose_shots(5, NAMES, seed=3) == many[:5]
    assert len(set(many)) == 25


def test_seeds_choose_differently_and_evenly() -> None:
    chosen = [choose_shots(10, NAMES, seed=seed) for seed in range(300)]
    counts = [sum(i in ids for ids in chosen) for i in range(100)]
    assert min(counts) > 10
    assert max(counts) < 55


def test_choice_depends_on_the_names_and_not_on_their_order() -> None:
    by_name = {NAMES[i] for i in choose_shots(5, NAMES, seed=1)}
    assert {NAMES[::-1][i] for i in choose_shots(5, NAMES[::-1], seed=1)} == by_name


def test_names_and_files_of_names_are_taken_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("9\n\n4\n")
    assert choose_shots(["9", 4], NAMES) == [9, 4]
    assert choose_shots(str(tmp_path / "train.txt"), NAMES) == [9, 4]


@pytest.mark.parametrize(
    ("shots", "message"),
    [
        (0, "shots is 0, .* from 1 to 100"),
        (101, "shots is 101, but the training split has 100 samples"),
        (["4", "x"], "'x' is not in the training split; .* such as '0'"),
        (["4", "4"], "'4' is given twice"),
        ([], "shots is empty"),
        ("gone.txt", r"no file gone\.txt"),
    ],
)
def test_impossible_shots_are_refused(shots: Shots, message: str) -> None:
    with pytest.raises(DataError, match=message):
        choose_shots(shots, NAMES)


def toy(shots: Shots, train_size: int = 12) -> ToyStreet:
    return ToyStreet(image_size=32, train_size=train_size, batch_size=4, shots=shots)


def epoch_of(data: ToyStreet) -> list[int]:
    return sorted(i for batch in data.train_dataloader() for i in batch["index"].tolist())


def test_training_sees_the_shots_alone_and_the_rest_remains_without_labels() -> None:
    data = toy(["3", "7", "8"], train_size=7 + 4)
    data.setup("fit")
    assert epoch_of(data) == [3, 7, 8]
    batches = list(data.unlabelled_dataloader())
    assert sorted(i for b in batches for i in b["index"].tolist()) == [0, 1, 2, 4, 5, 6, 9, 10]
    assert batches[0].keys() == {"image", "index"}


def test_without_shots_nothing_is_unlabelled_or_written(tmp_path: Path) -> None:
    data = attached(toy(None), tmp_path)
    assert len(data.train_ids) == 12
    assert not (tmp_path / "splits").exists()
    with pytest.raises(DataError, match="All training samples have labels"):
        data.unlabelled_dataloader()


def attached(data: ToyStreet, directory: Path, ckpt_path: str | None = None) -> ToyStreet:
    """Set a data module up as a trainer with this run directory does."""
    data.trainer = Trainer(default_root_dir=directory, logger=False, accelerator="cpu")
    data.trainer.ckpt_path = ckpt_path
    data.setup("fit")
    return data


def test_written_choice_repeats_the_run(tmp_path: Path) -> None:
    data, record = attached(toy(3), tmp_path), tmp_path / "splits/train.txt"
    assert read_names(record) == [str(i) for i in data.train_ids]
    again = toy(str(record))
    again.setup("fit")
    assert again.train_ids == data.train_ids


def test_run_that_goes_on_keeps_its_choice_though_there_are_new_samples(tmp_path: Path) -> None:
    first = attached(toy(3), tmp_path).train_ids
    fresh = attached(toy(3, train_size=400), tmp_path / "other").train_ids
    resumed = attached(toy(3, train_size=400), tmp_path, ckpt_path="last.ckpt").train_ids
    assert resumed == first != fresh


def test_new_run_does_not_take_the_choice_of_an_old_one(tmp_path: Path) -> None:
    attached(toy(3), tmp_path)
    assert attached(toy(["5"]), tmp_path).train_ids == [5]
    assert read_names(tmp_path / "splits/train.txt") == ["5"]
