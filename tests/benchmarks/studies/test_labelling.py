import torch

from benchmarks.figures.toy_prior import NUM_CLASSES
from benchmarks.studies.labelling import RULES, SCORED, SETS, cell, scores


def test_features_that_tell_all_give_a_perfect_score_and_noise_a_bad_one() -> None:
    torch.manual_seed(0)
    labels = torch.randint(NUM_CLASSES, (SCORED + 2 * SETS, 16, 16))
    labels = labels.repeat_interleave(2, 1).repeat_interleave(2, 2)
    clear = torch.nn.functional.one_hot(labels[:, ::2, ::2], NUM_CLASSES).movedim(3, 1).float()
    for name, rule in RULES.items():
        assert scores(rule, clear, labels, 2) == [1.0] * SETS, name
        noise = scores(rule, torch.randn_like(clear), labels, 1)
        assert max(noise) < 0.2, name


def test_cell_is_mean_and_standard_error_in_per_cent() -> None:
    assert cell([0.5, 0.7]) == " 60.0 +- 10.0"
