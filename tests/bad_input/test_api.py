"""Every mistake in a call raises an error of its exact class that names value and remedy."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from semsynth.callbacks import GeneratorEMA
from semsynth.data import (
    CachedPairs,
    CelebAMaskHQ,
    DataError,
    Images,
    ToyFlow,
    ToyPortrait,
    ToyStreet,
)
from semsynth.data.latents import read_codes
from semsynth.data.transforms import PairTransform
from semsynth.errors import UserError
from semsynth.interop.checkpoints import CheckpointError
from semsynth.interop.stylegan2 import import_stylegan2
from semsynth.methods import CLVAE, Segmenter, StyleGAN2, UserControllableLT
from semsynth.metrics import Diversity
from semsynth.networks.motion.marks import EditError, Mark, Marks
from semsynth.weights import MissingWeightsError, WeightsError, load_segmenter
from semsynth.weights.cards import write_weights
from semsynth.weights.download import FetchError, import_file
from semsynth.weights.editors import read_editor
from semsynth.weights.estimators import load_motion_estimator
from semsynth.weights.priors import load_generator

Act = Callable[[Path], object]


TABLE: list[tuple[type[Exception], str, Act]] = [
    (UserError, r"channels must be .* got 0", lambda p: CLVAE(3, channels=0)),
    (UserError, r"num_classes must be .* got -1", lambda p: CLVAE(-1)),
    (UserError, r"kl_weight is nan; give a finite", lambda p: CLVAE(3, kl_weight=math.nan)),
    (UserError, r"lr is inf; give a finite", lambda p: Segmenter(3, lr=math.inf)),
    (ValueError, r"square images, got .*\(32, 64\)", lambda p: StyleGAN2((32, 64))),
    (UserError, r"depth must be", lambda p: UserControllableLT("toy_portrait", depth=0)),
    (ValueError, r"between 32 and 256, got 512;", lambda p: ToyStreet(image_size=512)),
    (ValueError, r"test_size must be at least 1, got -1", lambda p: ToyPortrait(test_size=-1)),
    (ValueError, r"noise must be at least 0", lambda p: ToyFlow(noise=-0.1)),
    (ValueError, r"brightness in \[0, 1\)", lambda p: ToyFlow(brightness=1.0)),
    (ValueError, r"eval_size", lambda p: Images(str(p), eval_size=0)),
    (ValueError, r"load_size .* is smaller", lambda p: PairTransform((8, 8), load_size=(4, 8))),
    (UserError, r"batch_size must be .* got 0", lambda p: ToyPortrait(batch_size=0)),
    (UserError, r"image_width must be .* got -3", lambda p: CelebAMaskHQ("x", image_size=(64, -3))),
    (DataError, r"has no pairs", lambda p: CachedPairs(str(p)).setup("fit")),
    (DataError, r"must contain .codes.", lambda p: read_codes(p / "stateless.ckpt")),
    (DataError, r"cannot be read", lambda p: read_codes(p / "cut_off.safetensors")),
    (ValueError, r"in \[0, 1\), got 1", lambda p: GeneratorEMA(decay=1.0)),
    (ValueError, r"either features or a preset.*bicyclegan", lambda p: Diversity()),
    (ValueError, r"either features or a preset", lambda p: Diversity("alex", preset="clvae")),
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
    (EditError, r"dictionary of numbers x, y .*'wide'", lambda p: Mark.parse({"x": "wide"})),
    (EditError, r"finite", lambda p: Marks.of([Mark(math.nan, 1, 5)], 64)),
]


@pytest.mark.parametrize(
    ("kind", "message", "act"), TABLE, ids=[f"{k.__name__}-{m}" for k, m, _ in TABLE]
)
def test_mistake_raises_its_error(
    kind: type[Exception], message: str, act: Act, place: Path
) -> None:
    with pytest.raises(kind, match=message) as raised:
        act(place)
    assert type(raised.value) is kind
