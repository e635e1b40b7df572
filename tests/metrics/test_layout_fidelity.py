from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from semsynth.data.cityscapes import cityscapes_space
from semsynth.errors import UserError
from semsynth.images import to_uint8
from semsynth.metrics import LayoutFidelity
from semsynth.metrics.label_maps import label_map
from semsynth.metrics.layout_fidelity import (
    class_scores,
    confusion_matrix,
    iou_per_class,
    layout_scores,
)
from semsynth.metrics.segmenters import FrozenSegmenter

from .conftest import NUM_CLASSES

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")  # a user's format


def test_all_figures_equal_a_count_by_hand() -> None:
    target = torch.tensor([[0, 0, 1, 1], [1, 255, 255, 0]])
    prediction = torch.tensor([[0, 1, 1, 255], [1, 0, 3, 0]])
    confusion = confusion_matrix(prediction, target, num_classes=4)
    expected = [[2, 1, 0, 0, 0], [0, 2, 0, 0, 1], [0] * 5, [0] * 5, [1, 0, 0, 1, 0]]
    assert confusion.tolist() == expected
    assert confusion.dtype == torch.int64
    iou = iou_per_class(confusion)
    assert iou[:2].tolist() == [2 / 3, 2 / 4]  # what is predicted without a label does not count
    assert iou[2:].isnan().all()
    scores = {name: score.item() for name, score in layout_scores(confusion).items()}
    assert scores == pytest.approx(
        {
            "MeanIoU": (2 / 3 + 2 / 4) / 2,
            "PixelAccuracy": 4 / 6,
            "PixelAccuracyAll": 4 / 8,
            "FrequencyWeightedIoU": 3 / 6 * 2 / 3 + 3 / 6 * 2 / 4,
        }
    )


def test_class_that_is_only_predicted_counts_as_zero() -> None:
    confusion = confusion_matrix(torch.tensor([0, 2]), torch.tensor([0, 0]), num_classes=3)
    assert layout_scores(confusion)["MeanIoU"].item() == pytest.approx((1 / 2 + 0) / 2)


def random_batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2, 6, 3, 16, 24), generator=generator)
    fake, image = (pixels / 127.5 - 1).unbind()
    mask = torch.randint(0, NUM_CLASSES - 1, (6, 16, 24), generator=generator)  # the last is absent
    seen = FrozenSegmenter("toy_street")(to_uint8(fake))
    mask = torch.where(torch.rand(mask.shape, generator=generator) < 0.3, seen, mask)
    mask[:, :3] = 255
    return fake, image, mask


def test_metric_equals_torchmetrics(toy_assets: Path) -> None:
    fake, image, mask = random_batch()
    metric = LayoutFidelity("toy_street", per_class=True)
    for i in range(0, 6, 2):
        batch = slice(i, i + 2)
        metric.update(fake=fake[batch], image=image[batch], mask=mask[batch])
    scores = metric.compute()

    segment = FrozenSegmenter("toy_street")
    for suffix, images in (("", fake), ("_real", image)):
        prediction = segment(to_uint8(images))
        settings: dict[str, Any] = {"num_classes": NUM_CLASSES, "ignore_index": 255}
        for name, reference in {
            "MeanIoU": MulticlassJaccardIndex(**settings),
            "PixelAccuracy": MulticlassAccuracy(**settings, average="micro"),
            "FrequencyWeightedIoU": MulticlassJaccardIndex(**settings, average="weighted"),
        }.items():
            expected = reference(prediction, mask).item()
            assert scores[f"{name}{suffix}"].item() == pytest.approx(expected, rel=1e-6)
        correct = (prediction == mask).double().mean().item()
        assert scores[f"PixelAccuracyAll{suffix}"].item() == pytest.approx(correct)
    ious = MulticlassJaccardIndex(**settings, average="none")(segment(to_uint8(fake)), mask)
    for number, iou in enumerate(ious[:-1]):
        assert scores[f"IoU_class_{number}"].item() == pytest.approx(iou.item(), rel=1e-6)
    assert "IoU_class_7" not in scores  # neither in the masks nor predicted
    assert scores["MeanIoU_ratio"] == scores["MeanIoU"] / scores["MeanIoU_real"]


def test_maps_translate_segmenter_and_masks_into_one_space(colours: str) -> None:
    segmenter_map, mask_map = (1, 255, 0), (0, 0, 255, 1, 255, 1, 1)  # two classes remain
    generator = torch.Generator().manual_seed(0)
    fake = torch.randint(0, 256, (2, 3, 16, 16), generator=generator) / 127.5 - 1
    mask = torch.randint(0, 8, (2, 16, 16), generator=generator)
    mask = torch.where(mask == 7, 9, mask)  # 9 for no label
    metric = LayoutFidelity(colours, ignore_index=9, segmenter_map=segmenter_map, mask_map=mask_map)
    metric.update(fake=fake, image=fake, mask=mask)

    prediction = torch.tensor(segmenter_map)[FrozenSegmenter(colours)(to_uint8(fake))]
    target = torch.tensor([*mask_map, 0, 0, 255])[mask]
    valid = target != 255
    for c in (0, 1):
        hit = ((prediction == c) & (target == c)).sum()
        union = (((prediction == c) | (target == c)) & valid).sum()
        iou = iou_per_class(metric.confusion_fake)[c]
        assert iou.item() == pytest.approx((hit / union).item())
    assert metric.num_classes == 2
    correct = ((prediction == target) & valid).sum() / valid.sum()
    assert metric.compute()["PixelAccuracy"].item() == pytest.approx(correct.item())


def test_errors_say_what_is_wrong(toy_assets: Path) -> None:
    metric = LayoutFidelity("toy_street")
    image, mask = torch.zeros(2, 3, 8, 8), torch.zeros(2, 8, 8, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"target must be in 0\.\.7.*got 8\.\.8"):
        metric.update(fake=image, image=image, mask=mask + NUM_CLASSES)
    with pytest.raises(ValueError, match=r"target must be in 0\.\.7.*got -1\.\.-1"):
        metric.update(fake=image, image=image, mask=mask - 1)
    with pytest.raises(ValueError, match="their sizes must agree"):
        metric.update(fake=image, image=image, mask=mask[:, :4])
    with pytest.raises(ValueError, match="must have the same shape"):
        confusion_matrix(mask, mask[:, :4], NUM_CLASSES)
    with pytest.raises(ValueError, match="8 classes, but segmenter_map translates only 2"):
        LayoutFidelity("toy_street", segmenter_map=(0, 1))
    with pytest.raises(ValueError, match=r"mask_map has 19 target classes, but .* only 8"):
        LayoutFidelity("toy_street", mask_map="cityscapes_ids_to_train_ids")
    with pytest.raises(UserError, match=r"8 classes, but these data are scored in 19; give a segm"):
        metric.use_classes(cityscapes_space("cityscapes-34"))
    with pytest.raises(ValueError, match="Unknown class map 'streets'; known: cityscapes_ids"):
        label_map("streets")


def test_scores_of_classes_bear_their_names_if_these_differ() -> None:
    confusion = torch.tensor([[3, 1, 0, 0], [0, 4, 0, 0], [0, 0, 0, 0], [0, 0, 5, 0]])
    expected = [3 / 4, 4 / 5]  # the third class is nowhere but where there is no label
    for names, keys in (
        (("traffic light", "door, double", "sky"), ["IoU_traffic_light", "IoU_door_double"]),
        (("a b", "a-b", "sky"), ["IoU_class_0", "IoU_class_1"]),
        ((), ["IoU_class_0", "IoU_class_1"]),
    ):
        scores = class_scores(confusion, names)
        assert list(scores) == keys
        assert torch.stack(list(scores.values())).tolist() == expected
