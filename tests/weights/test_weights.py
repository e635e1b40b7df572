import json
from pathlib import Path

import pytest

from semsynth import weights


def test_missing_file_is_named_with_places_command_and_switch(empty: Path) -> None:
    with pytest.raises(weights.MissingWeightsError) as error:
        weights.find("vgg19", "The loss", "--loss none")
    command = "semsynth weights fetch vgg19"
    for part in ("The loss", "vgg19-dcbb9e9d.pth", str(empty), command, "--loss none"):
        assert part in str(error.value)


def test_own_directory_comes_before_those_of_torch(empty: Path) -> None:
    for directory in (empty, empty / "hub" / "checkpoints"):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "vgg19-dcbb9e9d.pth").touch()
    with pytest.warns(UserWarning, match=r"0 bytes, not the 574,673,361"):
        assert weights.find("vgg19", "", "") == empty / "vgg19-dcbb9e9d.pth"


def test_name_that_no_repository_can_have_is_named() -> None:
    with pytest.raises(weights.MissingWeightsError, match=r"The judge: 'hf:a/b/c' is not a rep"):
        weights.find("hf:a/b/c", "The judge", "take it out")


def test_repository_that_was_not_fetched_is_missing_at_once() -> None:
    with pytest.raises(weights.MissingWeightsError, match=r"fetch hf:nobody/nothing") as error:
        weights.find("hf:nobody/nothing", "The judge", "take it out")
    assert error.value.names == ("hf:nobody/nothing",)


@pytest.mark.parametrize("name", weights.shipped())
def test_shipped_segmenter_is_good(name: str) -> None:
    card = json.loads((weights.ASSETS / f"{name}_segmenter.json").read_text())
    assert card["test_mean_iou"] >= 0.90
    assert card["images_seen"]
