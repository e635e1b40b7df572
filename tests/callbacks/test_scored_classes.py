"""Cityscapes is scored in its 19 classes, whatever the classes of training and segmenter."""

from pathlib import Path

import pytest
import torch
from lightning import Trainer
from torch import Tensor, nn

from semsynth.callbacks import Evaluation
from semsynth.data import Cityscapes, ToyPortrait
from semsynth.data.cityscapes import SpaceName, cityscapes_space
from semsynth.images import save_png
from semsynth.methods.base import Batch, Method
from semsynth.metrics import ImageMetric, LayoutFidelity, SegmentationQuality
from tests.data.trees import write_map
from tests.helpers.checks import quiet_trainer

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")  # a user's format

IDS = torch.tensor([[0, 4, 7, 7, 11, 24, 26, 26], [0, 4, 7, 8, 23, 33, 33, 26]])
SIZE = (2, 8)
# Order of the outputs and colours of the usual segmenters of Cityscapes, such as SegFormer's
STREET = {
    **{"road": (128, 64, 128), "sidewalk": (244, 35, 232), "building": (70, 70, 70)},
    **{"wall": (102, 102, 156), "fence": (190, 153, 153), "pole": (153, 153, 153)},
    **{"traffic light": (250, 170, 30), "traffic sign": (220, 220, 0)},
    **{"vegetation": (107, 142, 35), "terrain": (152, 251, 152), "sky": (70, 130, 180)},
    **{"person": (220, 20, 60), "rider": (255, 0, 0), "car": (0, 0, 142), "truck": (0, 0, 70)},
    **{"bus": (0, 60, 100), "train": (0, 80, 100), "motorcycle": (0, 0, 230)},
    "bicycle": (119, 11, 32),
}
SEEN = ("road", "sidewalk", "building", "sky", "person", "car", "bicycle")


class Nearest(nn.Module):
    """A segmenter whose classes are colours."""

    colours: Tensor

    def __init__(self, colours: list[tuple[int, int, int]]) -> None:
        super().__init__()
        self.register_buffer("colours", torch.tensor(colours) / 127.5 - 1)

    def forward(self, image: Tensor) -> Tensor:
        distance = image[:, None] - self.colours[..., None, None]
        return -distance.square().sum(dim=2)


class Copy(Method):
    """Returns the photos."""

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return batch["image"]


class Answers(Copy):
    """Predicts the label maps themselves, but half of the road as void."""

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        mask = batch["mask"].clone()
        mask[:, 0, 2:4] = batch["mask"][0, 0, 0]
        return mask


def streets(root: Path, label_space: SpaceName) -> Cityscapes:
    """A validation split of one street, painted in the official colours."""
    palette = torch.tensor(cityscapes_space("cityscapes-34").palette, dtype=torch.uint8)
    name = "frankfurt/frankfurt_000000_000294"
    for kind, suffix in (("leftImg8bit", "leftImg8bit"), ("gtFine", "gtFine_labelIds")):
        (root / kind / "val/frankfurt").mkdir(parents=True, exist_ok=True)
        file = root / kind / f"val/{name}_{suffix}.png"
        if kind == "gtFine":
            write_map(file, IDS.numpy())
        else:
            save_png(palette[IDS].permute(2, 0, 1), file)
    return Cityscapes(str(root), label_space, instances=False, image_size=SIZE, num_workers=0)


def measured(root: Path, method: Method, metric: ImageMetric, space: SpaceName) -> dict[str, float]:
    evaluation = Evaluation([metric], cache_real=False)
    trainer: Trainer = quiet_trainer(root, callbacks=[evaluation], limit_val_batches=1.0)
    trainer.validate(method, streets(root, space), verbose=False)
    return evaluation.scores


@pytest.mark.parametrize("order", ["labelIds", "trainIds"])
@pytest.mark.parametrize("space", ["cityscapes-34", "cityscapes-35", "cityscapes-19"])
def test_photos_get_full_marks_in_the_19_classes(
    tmp_path: Path, space: SpaceName, order: str
) -> None:
    if order == "labelIds" and space != "cityscapes-34":
        pytest.skip("such a segmenter has other classes than the training")
    ids = cityscapes_space("cityscapes-34").palette
    network = Nearest(list(STREET.values() if order == "trainIds" else ids))
    torch.jit.trace(network, torch.zeros(1, 3, *SIZE)).save(tmp_path / "street.pt")
    metric = LayoutFidelity(f"torchscript:{tmp_path / 'street.pt'}", per_class=True)
    scores = measured(tmp_path, Copy(), metric, space)
    assert scores["MeanIoU"] == scores["PixelAccuracy"] == 1
    assert scores["PixelAccuracyAll"] == 12 / 16  # four pixels are void
    named = {name for name in scores if name.startswith("IoU_")}
    assert named == {f"IoU_{name}" for name in SEEN}
    assert metric.num_classes == 19


@pytest.mark.parametrize("space", ["cityscapes-34", "cityscapes-35", "cityscapes-19"])
def test_label_maps_of_a_method_are_scored_in_the_19_classes(
    tmp_path: Path, space: SpaceName
) -> None:
    scores = measured(tmp_path, Answers(), SegmentationQuality(), space)
    assert scores["IoU_road"] == 1 / 3  # one of three pixels
    assert scores["MeanIoU"] == pytest.approx((1 / 3 + 6) / 7)


def test_dense_masks_of_scribbles_are_scored_as_they_are(tmp_path: Path) -> None:
    class Dense(Copy):
        def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
            return batch["full_mask"] + 1  # in the classes of the training, unknown first

    evaluation = Evaluation([SegmentationQuality()], cache_real=False)
    data = ToyPortrait(labels="scribbles", image_size=32, val_size=2, num_workers=0)
    quiet_trainer(tmp_path, callbacks=[evaluation], limit_val_batches=1.0).validate(
        Dense(), data, verbose=False
    )
    assert evaluation.scores["MeanIoU"] == 1
    assert "IoU_hair" in evaluation.scores
