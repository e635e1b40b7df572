"""The keys that a configuration may give to each data module, and their defaults."""

from typing import Any

import pytest
from jsonargparse import ArgumentError, ArgumentParser

import semsynth.data
from semsynth.cli import main
from semsynth.data import SynthesisDataModule

SHOTS = {"shots": None, "shots_seed": None}
PAIRS = {"val_size": 256, "test_size": 1024, "batch_size": 16, "eval_batch_size": 16}
FEW = SHOTS | {
    "root": None,
    "image_size": 256,
    "batch_size": 4,
    "eval_batch_size": 8,
    "num_workers": 2,
    "on_bad_file": "stop",
    "range": None,
}
FILES = FEW | {"load_size": None, "flip": True, "cache": None}
TOY = {
    "image_size": 64,
    "train_size": 8192,
    "val_size": 256,
    "test_size": 256,
    "batch_size": 16,
    "eval_batch_size": 32,
    "num_workers": 0,
    "seed": 0,
}
IDS = {"label_space": "cityscapes-34", "label_files": "labelIds", "instances": True}
DEFAULTS: dict[str, dict[str, Any]] = {
    "ADE20K": FILES | {"label_order": "shifted", "load_size": 286},
    "CamVid": FILES | {"image_size": (192, 256)},
    "CCP": FILES | {"image_size": (192, 128)},
    "CelebAMaskHQ": FILES | {"split": "official", "swap_left_right": True, "load_size": 286},
    "Cityscapes": FILES | IDS | {"image_size": (256, 512)},
    "DeepFashion": FILES,
    "GTA5": FILES | {"rebalance": True, "image_size": (256, 512), "flip": False},
    "Folder": FILES | {"num_classes": None, "label_name": "NAME"},
    "FewShotFolder": FEW
    | {"num_classes": None, "labels": "dense", "batch_size": 1, "num_workers": 0},
    "Images": {k: v for k, v in FILES.items() if k not in ("load_size", *SHOTS)}
    | {"flip": False, "eval_size": None, "eval_batch_size": 16},
    "ToyPortrait": TOY | SHOTS | {"labels": "dense"},
    "ToyStreet": TOY | SHOTS | {"labels": "dense"},
    "ToyFlow": TOY | {"test_size": 512, "noise": 0.01, "brightness": 0.04},
    "GeneratedPairs": PAIRS | {"train_size": 65536, "num_workers": 0},
    "CachedPairs": PAIRS | {"root": None, "num_workers": 2},
    "Extended": {
        "labelled": None,
        "exported": None,
        "share": 0.5,
        "epoch_size": 1024,
        "batch_size": 16,
    },
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_arguments_are_listed_with_their_defaults_and_docs_and_no_others_are_taken(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(getattr(semsynth.data, name))
    actions = [action for action in parser._actions if action.dest not in ("help", "labelled.help")]
    assert {action.dest: action.default for action in actions} == DEFAULTS[name]
    assert all(action.help for action in actions)
    with pytest.raises(ArgumentError, match="batchsize"):
        parser.parse_object(DEFAULTS[name] | {"batchsize": 2})
    with pytest.raises(SystemExit):
        main(["fit", "--data.help", name])
    help_text = " ".join(capsys.readouterr().out.split())
    for action in actions:
        assert f"--data.{action.dest}" in help_text
        assert " ".join(str(action.help).split())[:50] in help_text


def test_every_data_module_of_a_configuration_has_a_line_here() -> None:
    found = {
        name
        for name in semsynth.data.__all__
        if isinstance(module := getattr(semsynth.data, name), type)
        and issubclass(module, SynthesisDataModule)
    }
    assert found - {"SynthesisDataModule", "MaskFolder"} == DEFAULTS.keys()
