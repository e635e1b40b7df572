from typing import Any

import pytest
import torch
from torch import Tensor

from semsynth.editing.calibration import calibrate_gain, held_out_seeds, lowest, measure_scale
from semsynth.editing.pairs import PairRenderer
from semsynth.networks.motion.geometry import Motion
from semsynth.networks.motion.marks import Marks
from semsynth.weights.priors import load_generator

CPU = torch.device("cpu")


class MovesWithLatents(PairRenderer):
    """The flow of every cell is (12, -5) times the first number by which the first latent moves."""

    def compare(self, before: Tensor, after: Tensor) -> dict[str, Any]:
        way = (after - before)[:, 0, 0].view(-1, 1, 1, 1)
        flow = torch.cat([12 * way, -5 * way], 1).expand(-1, -1, 4, 4)
        valid = torch.ones(len(way), 1, 4, 4, dtype=torch.bool)
        return {"flow": flow, "log_expansion": -flow[:, 1:] / 10, "valid": valid}


@pytest.fixture
def renderer(prior: str) -> PairRenderer:
    def nothing(image_a: Tensor, image_b: Tensor) -> Motion:
        raise AssertionError

    sizes: dict[str, Any] = {
        "feature_resolution": 16,
        "canvas_size": 32,
        "grid_size": 4,
        "num_tokens": 2,
    }
    return MovesWithLatents(load_generator(prior), nothing, **sizes)


def test_scale_is_the_root_mean_square_over_held_out_pairs(renderer: PairRenderer) -> None:
    scale = measure_scale(renderer, 40, CPU)
    ways = [(t[:, 0] - w)[:, 0] for w, t in map(renderer.latents, held_out_seeds(40, CPU))]
    size = torch.cat(ways).square().mean().sqrt()
    expected = torch.stack([(169 / 2) ** 0.5 * size, (169 / 2) ** 0.5 * size, size / 2])
    torch.testing.assert_close(scale, expected)


@pytest.mark.parametrize("still", [0, 0.4])
def test_gain_makes_up_for_an_answer_that_goes_part_of_the_way_but_not_for_points_that_stay(
    renderer: PairRenderer, still: float
) -> None:
    def answer(pairs: dict[str, Any], marks: Marks, gain: Tensor) -> Tensor:
        w = pairs["w"][:, None].expand_as(pairs["w_target"])
        moved = w + 0.7 * gain * (pairs["w_target"] - w)
        stays = torch.arange(len(w)) < still * len(w)
        return torch.where(stays[:, None, None], w, moved)

    gain = calibrate_gain(renderer, answer, 24, CPU)
    torch.testing.assert_close(gain, torch.tensor(1 / 0.7), atol=0.05, rtol=0)


def test_the_lowest_point_of_a_parabola_is_found_between_its_points() -> None:
    x = torch.tensor([0.5, 0.8, 1.0, 1.6, 2.0])
    y = (x.log() - 0.1).square() + 3
    torch.testing.assert_close(lowest(x, y), torch.tensor(0.1).exp())
    assert lowest(x, x) == 0.5
    assert lowest(x, -x) == 2
