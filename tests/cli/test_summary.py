import pytest

from semsynth.cli.summary import print_scores


def test_scores_of_real_photos_stand_beside_those_of_generated_images(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scores = {"FID": 31.41592, "MeanIoU": 0.5, "MeanIoU_real": 0.91239, "IoU_class_0": 0.1}
    print_scores(scores, "test")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["test", "generated", "real", "photos"],
        ["FID", "31.42"],
        ["MeanIoU", "0.5", "0.9124"],
        ["and", "1", "more"],
    ]
