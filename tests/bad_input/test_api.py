"""Every mistake in a call raises an error of its exact class that names value and remedy."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from semsynth.callbacks import run_directory
from semsynth.callbacks.run_directory import RunExistsError
from semsynth.cli.preflight import choose_device
from semsynth.data import CelebAMaskHQ, DataError, Folder, ToyPortrait, ToyStreet
from semsynth.data.decode import ColourMaskError, UnreadableError, read_image, read_mask
from semsynth.data.errors import MissingSplitError, PairingError
from semsynth.data.latents import read_codes
from semsynth.data.shots import choose_shots
from semsynth.errors import UserError
from semsynth.interop.checkpoints import CheckpointError
from semsynth.interop.stylegan2 import import_stylegan2
from semsynth.methods import CLVAE, Segmenter, StyleGAN2, UserControllableLT
from semsynth.metrics.protocol import ProtocolError, require_same
from semsynth.networks.motion.marks import EditError, Mark, Marks
from semsynth.weights import MissingWeightsError, WeightsError, load_segmenter
from semsynth.weights.cards import write_weights
from semsynth.weights.download import FetchError, import_file
from semsynth.weights.editors import read_editor
from semsynth.weights.estimators import load_motion_estimator
from semsynth.weights.priors import load_generator

Act = Callable[[Path], object]
EMPTY = "nothing_in_it/train/images/0.png"


def finished_run(place: Path) -> None:
    (place / "run/checkpoints").mkdir(parents=True, exist_ok=True)
    (place / "run/checkpoints/last.ckpt").touch()
    run_directory.prepare(place / "run", overwrite=False)


def folder(root: Path, num_classes: int = 3) -> Folder:
    data = Folder(str(root), num_classes, image_size=32)
    data.setup("fit")
    return data


TABLE: list[tuple[type[Exception], str, Act]] = [
    (UserError, r"channels must be .* got 0", lambda p: CLVAE(3, channels=0)),
    (UserError, r"num_classes must be .* got -1", lambda p: CLVAE(-1)),
    (UserError, r"kl_weight must be 0 or .* got nan", lambda p: CLVAE(3, kl_weight=math.nan)),
    (UserError, r"lr must be 0 or .* finite.* got inf", lambda p: Segmenter(3, lr=math.inf)),
    (ValueError, r"square images, got .*\(32, 64\)", lambda p: StyleGAN2((32, 64))),
    (UserError, r"depth must be", lambda p: UserControllableLT("toy_portrait", depth=0)),
    (ValueError, r"between 32 and 256, got 1;", lambda p: ToyStreet(image_size=1)),
    (UserError, r"batch_size must be .* got 0", lambda p: ToyPortrait(batch_size=0)),
    (UserError, r"image_width must be .* got -3", lambda p: CelebAMaskHQ("x", image_size=(64, -3))),
    (DataError, r"from 1 to 255, got 256", lambda p: folder(p / "good", 256)),
    (MissingSplitError, r"no directory .*gone/train", lambda p: folder(p / "gone")),
    (PairingError, r"2\.png has no mask", lambda p: folder(p / "alone")),
    (DataError, r"has the value 9", lambda p: folder(p / "high")),
    (UnreadableError, r"\(the file is empty\)", lambda p: read_image(p / EMPTY)),
    (UnreadableError, r"\(No such file\)", lambda p: read_image(p / "gone.png")),
    (ColourMaskError, r"--fix-palette", lambda p: read_mask(p / "coloured/train/labels/0.png")),
    (DataError, r"must contain 'codes'", lambda p: read_codes(p / "stateless.ckpt")),
    (DataError, r"cannot be read", lambda p: read_codes(p / "cut_off.safetensors")),
    (DataError, r"from 1 to 2", lambda p: choose_shots(3, ["a", "b"])),
    (UserError, r"device 'cuda:9' not found; available: cpu", lambda p: choose_device("cuda:9")),
    (MissingWeightsError, r"(?s)'nobody'.*semsynth import", lambda p: load_generator("nobody")),
    (WeightsError, r"card describes it", lambda p: load_generator(p / "cut_off.safetensors")),
    (WeightsError, r"json is not valid JSON", lambda p: load_generator(p / "no_json.safetensors")),
    (WeightsError, r"not .* transformer", lambda p: read_editor(p / "other_kind.safetensors")),
    (MissingWeightsError, r"toy_street", lambda p: load_segmenter("nobody")),
    (WeightsError, r"not describe a seg", lambda p: load_segmenter(str(p / "changed.safetensors"))),
    (MissingWeightsError, r"called 'raft'", lambda p: load_motion_estimator("raft")),
    (ValueError, r"choose a network", lambda p: load_motion_estimator("dis", True)),
    (
        WeightsError,
        r"a cannot be stored as torch\.float32: it has NaN or infinite values",
        lambda p: write_weights({"a": torch.tensor([math.inf])}, p / "x.safetensors", {}),
    ),
    (CheckpointError, r"there is no file", lambda p: import_stylegan2(p / "gone.pt")),
    (CheckpointError, r"it cannot be read", lambda p: import_stylegan2(p / "cut_off.ckpt")),
    (FetchError, r"There is no file", lambda p: import_file(p / "gone.pth", "vgg19")),
    (RunExistsError, r"--ckpt_path last, .*--overwrite true", finished_run),
    (ProtocolError, r"split is val and test", lambda p: compare({"split": "val"})),
    (EditError, r"dictionary of numbers x, y .*'wide'", lambda p: Mark.parse({"x": "wide"})),
    (EditError, r"finite", lambda p: Marks.of([Mark(math.nan, 1, 5)], 64)),
]


def compare(card: dict[str, object]) -> None:
    require_same(card, {"split": "test"}, ("ours", "theirs"))


@pytest.mark.parametrize(
    ("kind", "message", "act"), TABLE, ids=[f"{k.__name__}-{m}" for k, m, _ in TABLE]
)
def test_mistake_raises_its_error(
    kind: type[Exception], message: str, act: Act, place: Path
) -> None:
    with pytest.raises(kind, match=message) as raised:
        act(place)
    assert type(raised.value) is kind
