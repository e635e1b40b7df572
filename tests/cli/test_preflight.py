from pathlib import Path
from typing import Any

import pytest
import torch

from semsynth.cli.preflight import check_trainer, choose_device, require_config
from semsynth.errors import UserError
from semsynth.methods.opening import check_checkpoint

TRAINER: dict[str, Any] = {"accelerator": "cpu", "devices": "auto", "strategy": "auto"}
TRAINER |= {"val_check_interval": None, "check_val_every_n_epoch": None}


@pytest.mark.parametrize("devices", ["auto", 1, "2", "0,1", [0, 1], -1, "-1"])
def test_devices_that_lightning_knows_pass(devices: Any) -> None:
    check_trainer(TRAINER | {"devices": devices})


@pytest.mark.parametrize("devices", [0, "0", [], "two", "1;2", -2, 1.5])
def test_other_devices_are_refused(devices: Any) -> None:
    with pytest.raises(UserError, match="give a number of at least 1"):
        check_trainer(TRAINER | {"devices": devices})


@pytest.mark.parametrize("path", [None, "last", "best"])
def test_words_for_checkpoints_pass(path: str | None) -> None:
    check_checkpoint(path, "CLVAE")


def test_checkpoint_needs_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").touch()
    words = ["test", "--ckpt_path", str(tmp_path / "a.ckpt")]
    require_config(["test"], ())
    require_config(words, ("mine.yaml",))
    require_config([*words, "--model=CLVAE"], ())
    for args in (words, ["test", f"--ckpt_path={tmp_path / 'a.ckpt'}"]):
        with pytest.raises(UserError, match=r"a\.ckpt has no config\.yaml .*--config FILE"):
            require_config(args, ())


def test_gpu_is_chosen_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert choose_device(None).type == "cpu"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device(None).type == "cuda"
    assert choose_device("cuda:1").index == 1


def test_device_that_is_not_there_is_refused_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match=r"device 'cuda:1' not found; available: cpu, cuda, cuda:0"):
        choose_device("cuda:1")
