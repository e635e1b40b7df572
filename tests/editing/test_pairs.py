from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.editing.pairs import PairRenderer, on_canvas, sums_of_squares
from semsynth.networks.motion.geometry import Motion
from semsynth.networks.noise import hash_int64, seeded_normal, seeded_uniform
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.weights.priors import load_generator

SEEDS = torch.tensor([11, 12, 13])


def by_place(image_a: Tensor, image_b: Tensor) -> Motion:
    """A made-up motion that tells where it was read."""
    B, _, H, W = image_a.shape
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    flow = torch.stack([x, y]).float().expand(B, -1, -1, -1)
    return Motion(flow, image_b[:, :1] - image_a[:, :1], (image_a > 0)[:, :1])


def build(prior: str, **changes: Any) -> PairRenderer:
    arguments: dict[str, Any] = {
        "num_tokens": 3,
        "perturbation": (0.1, 0.1),
        "feature_resolution": 16,
        "canvas_size": 32,
        "grid_size": 8,
    }
    return PairRenderer(load_generator(prior), by_place, **(arguments | changes))


def z_of(generator: StyleGAN2Generator) -> Tensor:
    return seeded_normal(SEEDS, 1 + generator.num_ws, generator.z_dim)


def test_first_latents_move_a_tenth_of_the_way_to_random_ones_of_their_own(prior: str) -> None:
    renderer = build(prior)
    G = renderer.generator
    w, target = renderer.latents(SEEDS)
    z = z_of(G)
    first = G.mean_latent + 0.3 * (G.mapping(z[:, 0]) - G.mean_latent)
    torch.testing.assert_close(w, first)
    for t in range(3):
        torch.testing.assert_close(target[:, t], 0.9 * first + 0.1 * G.mapping(z[:, 1 + t]))


def test_the_way_is_drawn_evenly_for_each_pair(prior: str) -> None:
    renderer = build(prior, perturbation=(0.02, 0.2), centred=True)
    w, target = renderer.latents(SEEDS)
    direction = renderer.generator.mapping(z_of(renderer.generator)[:, 1:4])
    direction = direction - renderer.generator.mean_latent
    share = (0.02 + 0.18 * seeded_uniform(hash_int64(SEEDS), 1, 1)).float()
    torch.testing.assert_close(target - w[:, None], share * direction, atol=1e-5, rtol=1e-4)


def test_shared_latents_move_alike(prior: str) -> None:
    _, target = build(prior, shared=True).latents(SEEDS)
    assert torch.equal(target[:, 0], target[:, 2])
    _, target = build(prior).latents(SEEDS)
    assert not torch.equal(target[:, 0], target[:, 2])


def test_around_the_latents_nothing_drifts_to_the_mean(prior: str) -> None:
    seeds = torch.arange(4000)
    drifts = []
    for centred in (False, True):
        renderer = build(prior, perturbation=(0.5, 0.5), truncation=1.0, centred=centred)
        w, target = renderer.latents(seeds)
        offset, moved = w - renderer.generator.mean_latent, target[:, 0] - w
        drifts.append(float((offset * moved).sum() / offset.square().sum()))
    assert drifts == pytest.approx([-0.5, 0.0], abs=0.03)


def test_released_code_normalises_z_over_the_layers(prior: str) -> None:
    renderer = build(prior, normalise_layers=True, perturbation=(1.0, 1.0))
    _, target = renderer.latents(SEEDS)
    z = z_of(renderer.generator)[:, 1:]
    x = z / (z.square().mean(1, keepdim=True) + 1e-8).sqrt()
    for layer in renderer.generator.mapping.layers:
        x = F.leaky_relu(layer(x), 0.2) * 2**0.5
    torch.testing.assert_close(target, x[:, :3], atol=1e-5, rtol=1e-4)


def test_pair_is_what_two_full_syntheses_give_on_the_grid(prior: str) -> None:
    renderer = build(prior)
    G = renderer.generator
    pairs = renderer(SEEDS)
    before = G.repeat(pairs["w"])
    after = before.clone()
    after[:, :3] = pairs["w_target"]
    a, b = (G.synthesis(w).clamp(-1, 1) for w in (before, after))
    features = G.synthesis.features(before, 16)
    torch.testing.assert_close(pairs["features"], features[:, :, ::2, ::2])
    torch.testing.assert_close(pairs["log_expansion"], (b - a)[:, :1, ::4, ::4])
    assert torch.equal(pairs["valid"], (a > 0)[:, :1, ::4, ::4])
    assert pairs["flow"][0, :, 1, 2].tolist() == [8, 4]
    assert not any(value.requires_grad for value in pairs.values())


def test_pair_depends_on_its_seed_alone(prior: str) -> None:
    renderer = build(prior)
    together, alone = renderer(SEEDS), renderer(SEEDS[1:2])
    for key, value in alone.items():
        torch.testing.assert_close(together[key][1:2], value)


def test_canvas_is_the_average_of_pixels() -> None:
    image = torch.rand(1, 3, 32, 32)
    averaged = F.avg_pool2d(image, 2)
    torch.testing.assert_close(on_canvas(image, 16), averaged)
    assert torch.equal(on_canvas(image, 32), image)


def test_sums_of_squares_leave_invalid_cells_out() -> None:
    batch = {
        "flow": torch.tensor([[[[3.0, 9.0]], [[4.0, 9.0]]]]),
        "log_expansion": torch.tensor([[[[0.5, 9.0]]]]),
        "valid": torch.tensor([[[[True, False]]]]),
    }
    squares, counts = sums_of_squares(batch)
    assert squares.tolist() == [25, 0.25]
    assert counts.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_tokens": 8}, "num_tokens must be from 1 to 7"),
        ({"canvas_size": 20}, "must be multiples"),
        ({"grid_size": 5}, "must be multiples"),
        ({"perturbation": (0.3, 0.1)}, "perturbation must be LOW, HIGH"),
    ],
)
def test_values_that_make_no_sense_are_refused(
    prior: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build(prior, **changes)
