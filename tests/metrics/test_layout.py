from pathlib import Path

import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from semsynth.metrics import LayoutFidelity
from semsynth.metrics.layout import confusion_matrix, iou_per_class
from semsynth.weights import load_segmenter

NUM_CLASSES = 5


def test_confusion_matrix_and_iou_equal_a_count_by_hand() -> None:
    target = torch.tensor([[0, 0, 1], [1, 255, 255]])
    prediction = torch.tensor([[0, 1, 1], [1, 0, 3]])
    confusion = confusion_matrix(prediction, target, num_classes=4)
    assert confusion.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [0] * 4, [0] * 4]
    assert confusion.dtype == torch.int64
    iou = iou_per_class(confusion)
    assert iou[:2].tolist() == pytest.approx([1 / 2, 2 / 3])
    assert iou[2:].isnan().all()


def test_class_that_is_only_predicted_counts_as_zero() -> None:
    confusion = confusion_matrix(torch.tensor([0, 2]), torch.tensor([0, 0]), num_classes=3)
    assert iou_per_class(confusion).nanmean().item() == pytest.approx((1 / 2 + 0) / 2)


def test_metric_equals_torchmetrics(toy_assets: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    fake, image = (torch.rand(2, 6, 3, 16, 24, generator=generator) * 2 - 1).unbind()
    segment = load_segmenter("toy_street")
    predictions = {"": segment(fake).argmax(dim=1), "_real": segment(image).argmax(dim=1)}
    mask = torch.randint(0, NUM_CLASSES - 1, (6, 16, 24), generator=generator)  # the last is absent
    mask = torch.where(torch.rand(mask.shape, generator=generator) < 0.3, predictions[""], mask)
    mask[:, :3] = 255

    metric = LayoutFidelity("toy_street")
    for i in range(0, 6, 2):
        batch = slice(i, i + 2)
        metric.update(fake=fake[batch], image=image[batch], mask=mask[batch])
    scores = metric.compute()

    assert set(scores) == {"MeanIoU", "PixelAccuracy", "MeanIoU_real", "PixelAccuracy_real"}
    for suffix, prediction in predictions.items():
        iou = MulticlassJaccardIndex(NUM_CLASSES, ignore_index=255)(prediction, mask)
        accuracy = MulticlassAccuracy(NUM_CLASSES, average="micro", ignore_index=255)
        assert scores[f"MeanIoU{suffix}"].item() == pytest.approx(iou.item(), rel=1e-6)
        expected = accuracy(prediction, mask).item()
        assert scores[f"PixelAccuracy{suffix}"].item() == pytest.approx(expected, rel=1e-6)


def test_segmenter_may_be_a_path(toy_assets: Path) -> None:
    metric = LayoutFidelity(str(toy_assets / "toy_street_segmenter.safetensors"))
    image = torch.rand(2, 3, 16, 16) * 2 - 1
    mask = load_segmenter("toy_street")(image).argmax(dim=1)
    metric.update(fake=image, image=image, mask=mask)
    assert {score.item() for score in metric.compute().values()} == {1.0}


def test_errors_say_what_is_wrong(toy_assets: Path) -> None:
    metric = LayoutFidelity("toy_street")
    image, mask = torch.zeros(2, 3, 8, 8), torch.zeros(2, 8, 8, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"target must lie in 0\.\.4.*got 5\.\.5"):
        metric.update(fake=image, image=image, mask=mask + NUM_CLASSES)
    with pytest.raises(ValueError, match=r"target must lie in 0\.\.4.*got -1\.\.-1"):
        metric.update(fake=image, image=image, mask=mask - 1)
    with pytest.raises(ValueError, match="must have one size"):
        metric.update(fake=image, image=image, mask=mask[:, :4])
    with pytest.raises(ValueError, match="must have one shape"):
        confusion_matrix(mask, mask[:, :4], NUM_CLASSES)
