import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

from semsynth.cli import doctor
from semsynth.cli.doctor import Finding, dependency
from semsynth.weights import DOWNLOADS
from tests.helpers.command import status_of


def states(look: Callable[[], Iterator[Finding]]) -> dict[str, str]:
    return {finding.what: finding.state for finding in look()}


def test_dependency_outside_its_bound_is_bad() -> None:
    assert dependency(Requirement("torch>=2")).state == "good"
    for text in ("torch<2", "no-such-package>=1"):
        finding = dependency(Requirement(text))
        assert (finding.state, finding.remedy) == ("bad", f"pip install '{text}'")


def test_driver_that_torch_cannot_use_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert states(doctor.devices) == {"GPU": "note"}
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    assert states(doctor.devices) == {"GPU": "bad"}


def test_weights_are_missing_or_cut_off(weights_folder: Path) -> None:
    assert states(doctor.pretrained)["weights vgg19"] == "note"
    (weights_folder / DOWNLOADS["vgg19"].file).write_bytes(b"cut off")
    assert states(doctor.pretrained)["weights vgg19"] == "bad"


def test_data_are_looked_for_where_experiments_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMSYNTH_DATA", str(tmp_path))
    assert states(doctor.data_roots) == {"data": "note"}
    (tmp_path / "ade20k").mkdir()
    (finding,) = doctor.data_roots()
    assert (finding.state, "ade20k" in finding.found) == ("good", True)


def test_wandb_without_a_key_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    assert states(doctor.tracking) == {"W&B": "note"}
    (tmp_path / ".netrc").write_text("machine api.wandb.ai\n  login user\n")
    assert states(doctor.tracking) == {"W&B": "good"}


def test_little_room_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(Path.cwd())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(doctor, "ENOUGH", usage.free + 1)
    assert states(doctor.disk) == {"disk, runs": "note", "disk, cache": "note"}


@pytest.mark.parametrize(("state", "status"), [("good", 0), ("note", 0), ("bad", 1)])
def test_status_is_one_if_anything_is_bad(
    state: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = Finding(state, "thing", "[found]", "fix it")  # type: ignore[arg-type]
    monkeypatch.setattr(doctor, "examine", lambda: [finding])
    for flags in ([], ["--json"]):
        assert status_of(["doctor", *flags]) == status
        text = capsys.readouterr().out
        assert all(part in text for part in finding)
    assert json.loads(text) == [finding._asdict()]


def test_it_looks_at_everything() -> None:
    found = {finding.what for finding in doctor.examine()}
    assert {"Python", "torch", "semsynth[video]", "weights vgg19", "data", "W&B"} <= found
