import math
from pathlib import Path

import pytest
import torch

from semsynth.export.judges import Judges, class_agreement, disagreement, entropy


def test_agreement_is_the_iou_of_each_class() -> None:
    mask = torch.tensor([[[0, 0, 1, 255]]])
    prediction = torch.tensor([[[0, 1, 1, 0]]])
    agreement = class_agreement(prediction, mask, 3)
    assert agreement[0, :2].tolist() == [0.5, 0.5]
    assert agreement[0, 2].isnan()


def test_disagreement_of_equal_judges_is_zero_and_of_opposite_ones_is_one() -> None:
    same = torch.rand(1, 2, 4, 3, 3).softmax(2).expand(3, -1, -1, -1, -1)
    torch.testing.assert_close(disagreement(same), torch.zeros(2, 3, 3), atol=1e-5, rtol=0)
    assert float(disagreement(torch.eye(2).view(2, 1, 2, 1, 1))) == pytest.approx(1)


def test_entropy_of_equal_chances_is_the_logarithm_of_their_number() -> None:
    assert float(entropy(torch.full((1, 4), 0.25), 1)) == pytest.approx(math.log(4))


def test_a_judge_of_other_classes_is_refused(toy_segmenter: None, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="toy_street has 8 classes, but the exported masks have 3"):
        Judges(["toy_street"], 3, torch.device("cpu"))


def test_judges_give_probabilities(toy_segmenter: None) -> None:
    judges = Judges(["toy_street", "toy_portrait"], 8, torch.device("cpu"))
    image = torch.randint(256, (2, 3, 16, 16), dtype=torch.uint8)
    probabilities = judges(image)
    assert probabilities.shape == (2, 2, 8, 16, 16)
    torch.testing.assert_close(probabilities.sum(2), torch.ones(2, 2, 16, 16))
