import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from semsynth.metrics import SegmentationQuality


def test_mean_iou_equals_that_of_torchmetrics() -> None:
    torch.manual_seed(0)
    fake, mask = torch.randint(4, (2, 3, 16, 16)).unbind(0)
    metric, other = SegmentationQuality(4), MulticlassJaccardIndex(4)
    for i in range(3):
        metric.update(fake=fake[i : i + 1].float(), mask=mask[i : i + 1])
    assert float(metric.compute()["MeanIoU"]) == pytest.approx(float(other(fake, mask)), abs=1e-6)


def test_classes_are_told_apart_and_unlabelled_pixels_do_not_count() -> None:
    mask = torch.tensor([[[0, 0, 1, 255]]])
    metric = SegmentationQuality(3)
    metric.update(fake=torch.tensor([[[0, 1, 1, 2]]]), mask=mask)
    scores = metric.compute()
    assert scores["IoU_class_0"] == 0.5
    assert scores["IoU_class_1"] == 0.5
    assert "IoU_class_2" not in scores  # nowhere in the masks, and predicted where nobody looks


def test_images_are_refused() -> None:
    with pytest.raises(ValueError, match=r"label maps \(B, H, W\), got \(1, 3, 8, 8\)"):
        SegmentationQuality(3).update(torch.zeros(1, 3, 8, 8), torch.zeros(1, 8, 8).long())
