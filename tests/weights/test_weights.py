import json
from pathlib import Path

import pytest
import torch

from semsynth import weights

SHIPPED = ("toy_street", "toy_portrait")


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("SEMSYNTH_WEIGHTS", "SEMSYNTH_HOME", "XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    return tmp_path


def test_missing_file_is_named_with_places_command_and_switch(empty: Path) -> None:
    with pytest.raises(weights.MissingWeightsError) as error:
        weights.find("vgg19", "The loss", "--loss none")
    message = str(error.value)
    for part in (
        "The loss",
        "vgg19-dcbb9e9d.pth",
        str(empty),
        "semsynth weights fetch vgg19",
        "--loss none",
    ):
        assert part in message


def test_own_directory_comes_before_those_of_torch(empty: Path) -> None:
    for directory in (empty, empty / "hub" / "checkpoints"):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "vgg19-dcbb9e9d.pth").touch()
    with pytest.warns(UserWarning, match=r"0 bytes, not the 574,673,361"):
        assert weights.find("vgg19", "", "") == empty / "vgg19-dcbb9e9d.pth"


def test_name_that_no_repository_can_have_is_named() -> None:
    with pytest.raises(
        weights.MissingWeightsError, match=r"The judge: 'hf:a/b/c' is no repository"
    ):
        weights.find("hf:a/b/c", "The judge", "take it out")


def test_repository_that_was_not_fetched_is_missing_at_once() -> None:
    with pytest.raises(
        weights.MissingWeightsError, match=r"weights fetch hf:nobody/nothing"
    ) as error:
        weights.find("hf:nobody/nothing", "The judge", "take it out")
    assert error.value.names == ("hf:nobody/nothing",)


def test_unknown_segmenter_names_those_that_ship() -> None:
    with pytest.raises(weights.MissingWeightsError, match=r"'toy_moon'.*Shipped: .*toy_street"):
        weights.load_segmenter("toy_moon")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_segmenter_is_small_good_and_described(name: str) -> None:
    file = weights.ASSETS / f"{name}_segmenter.safetensors"
    card = json.loads(file.with_suffix(".json").read_text())
    assert file.stat().st_size < 2_000_000
    assert card["test_mean_iou"] >= 0.90
    assert {"config", "command", "seed", "images_seen", "commit"} <= card.keys()


def test_loading_leaves_the_random_numbers_of_the_run_alone(toy_segmenter: None) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    weights.load_segmenter("toy_street")
    assert torch.equal(torch.rand(3), expected)


def test_segmenter_is_frozen(toy_segmenter: None) -> None:
    network = weights.load_segmenter("toy_street")
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
