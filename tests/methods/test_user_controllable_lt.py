import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from semsynth.callbacks import GeneratorEMA
from semsynth.data import GeneratedPairs
from semsynth.editing.points import all_marks
from semsynth.methods import UserControllableLT
from semsynth.networks.noise import sample_seed
from semsynth.weights import WeightsError
from semsynth.weights.editors import save_editor
from semsynth.weights.priors import fingerprint
from tests.helpers.checks import quiet_trainer
from tests.helpers.killed import two_processes
from tests.helpers.small_prior import save_prior

ARGUMENTS: dict[str, Any] = {"num_tokens": 3, "perturbation": (0.2, 0.5), "grid_size": 8}
ARGUMENTS |= {"feature_resolution": 16, "scale_pairs": 8, "gain_pairs": 8}
ARGUMENTS |= {"dim": 16, "depth": 1, "num_heads": 2, "head_dim": 8, "mlp_dim": 16}


def build(prior: str, **changes: Any) -> UserControllableLT:
    torch.manual_seed(0)
    return UserControllableLT(prior, **(ARGUMENTS | changes))


def trained(prior: str, **changes: Any) -> UserControllableLT:
    """A method that knows its unit of motion."""
    return build(prior, sigma_flow=2.0, sigma_expansion=0.1, **changes).eval()


def fit(method: UserControllableLT, folder: Path, steps: int, **options: Any) -> Trainer:
    seed_everything(3, verbose=False)
    data = GeneratedPairs(train_size=32, val_size=4, test_size=4, batch_size=4)
    options = {"num_sanity_val_steps": 0, "use_distributed_sampler": False} | options
    trainer = quiet_trainer(folder, max_steps=steps, **options)
    trainer.fit(method, data)
    return trainer


def image(method: UserControllableLT) -> tuple[Tensor, Tensor]:
    w = method.sample_w(torch.tensor([4, 5]))
    w_plus = method.generator.repeat(w).contiguous()
    return w_plus, method.draw(w_plus)[1]


def marks(*motions: tuple[float, float, float]) -> tuple[Tensor, Tensor, Tensor]:
    K = len(motions)
    points = torch.arange(2.0 * K).view(1, K, 2).expand(2, -1, -1) * 3
    there = torch.ones(2, K, dtype=torch.bool)
    return points, torch.tensor(motions, dtype=torch.float32).expand(2, -1, -1), there


def test_an_edit_leaves_the_later_latents_as_they_are_to_the_last_bit(prior: str) -> None:
    method = trained(prior)
    w_plus, features = image(method)
    edited = method.edit(w_plus, features, *marks((3, 1, 0), (0, 0, 0)))
    assert torch.equal(edited[:, 3:], w_plus[:, 3:])
    assert not torch.equal(edited[:, :3], w_plus[:, :3])


@pytest.mark.parametrize("gain", ["calibrated", "released"])
def test_a_request_without_motion_changes_nothing(prior: str, gain: str) -> None:
    method = trained(prior, gain=gain)
    w_plus, features = image(method)
    assert torch.equal(method.edit(w_plus, features, *marks((0, 0, 0), (0, 0, 0))), w_plus)
    points, motions, there = marks((3, 1, 0))
    assert torch.equal(method.edit(w_plus, features, points, motions, ~there), w_plus)


def test_motion_beyond_the_trained_range_goes_on_in_proportion(prior: str) -> None:
    method = trained(prior)
    method.gain.fill_(1.5)
    w_plus, features = image(method)
    limit = 3 * 2.0  # TRAINED_RANGE times sigma_flow
    at_limit, twice = (
        method.edit(w_plus, features, *marks((length, 0, 0), (0, 0, 0))) - w_plus
        for length in (limit, 2 * limit)
    )
    torch.testing.assert_close(twice, 2 * at_limit, atol=1e-5, rtol=1e-4)
    _, alpha = method._request(torch.tensor([[[limit / 2, 0, 0]]]))
    assert alpha.item() == 1.5


def test_released_gain_is_a_unit_vector_and_a_tenth_of_the_length(prior: str) -> None:
    method = trained(prior, gain="released")  # its canvas has 32 pixels, an eighth of the paper's
    request, alpha = method._request(torch.tensor([[[3.0, 4.0, 0.5], [0.0, 0.0, 0.0]]]))
    torch.testing.assert_close(request[0, 0], torch.tensor([0.6, 0.8, 5.0]))
    assert not request[0, 1].any()
    assert alpha.item() == pytest.approx(8 * 5 / 10)


def test_anchors_enter_training_as_zeros(prior: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method = trained(prior)
    pairs = method.pairs_of({"seed": torch.arange(8)})
    pairs["flow"] *= 0.01  # everything is nearly still
    monkeypatch.setattr(UserControllableLT, "global_step", 0)  # not a step with the whole grid
    chosen = method.choose_marks(pairs)
    seen: list[Tensor] = []
    method.transformer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    method.answer(pairs, chosen)
    moves = chosen.motions.any(2)
    assert (chosen.points_mask & ~moves).any()
    assert not seen[0][chosen.points_mask & ~moves].any()
    assert seen[0][chosen.points_mask & moves].any()


def test_grid_takes_every_cell_whatever_its_validity(prior: str) -> None:
    method = trained(prior, points="grid")
    pairs = method.pairs_of({"seed": torch.arange(2)})
    pairs["valid"][:] = False
    assert method.choose_marks(pairs).points_mask.all()


def test_eight_pairs_can_be_learned_by_heart(prior: str) -> None:
    sizes = {"dim": 64, "depth": 2, "head_dim": 32, "mlp_dim": 64}
    method = build(prior, sigma_flow=1.0, sigma_expansion=0.1, **sizes)
    pairs = method.pairs_of({"seed": torch.arange(8)})
    chosen = all_marks(pairs, method.canvas_size)
    still = (pairs["w_target"] - pairs["w"][:, None]).square().mean()
    optimizer = torch.optim.Adam(method.transformer.parameters(), 2e-3)
    for _ in range(400):
        loss = (method.answer(pairs, chosen) - pairs["w_target"]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05 * still


def test_training_changes_the_transformer_and_its_units_alone(prior: str, tmp_path: Path) -> None:
    method = build(prior)
    before = {k: v.clone() for k, v in method.state_dict().items()}
    trainer = fit(method, tmp_path, 2, limit_val_batches=1, val_check_interval=2)
    after = method.state_dict()
    changed = {k.split(".")[0] for k, v in before.items() if not torch.equal(v, after[k])}
    assert changed == {"transformer", "motion_scale", "gain"}
    assert method.motion_scale[0] == method.motion_scale[1]
    explained = [f"val/unexplained_{name}" for name in ("1", "8", "32", "grid")]
    assert all(torch.isfinite(trainer.callback_metrics[name]) for name in explained)


def test_average_of_the_transformer_is_what_a_checkpoint_holds(prior: str, tmp_path: Path) -> None:
    ema = GeneratorEMA(decay=0.9, warm_up=False, network="transformer")
    trainer = fit(build(prior), tmp_path, 3, callbacks=[ema])
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    saved = torch.load(tmp_path / "a.ckpt", weights_only=False)["state_dict"]
    for key, value in ema.average.items():
        assert torch.equal(saved[f"transformer.{key}"], value)
    assert not torch.equal(ema.average["head.weight"], ema.training["head.weight"])


def test_optimizers_are_ranger_or_adamw_with_a_cosine(prior: str, tmp_path: Path) -> None:
    assert type(build(prior).configure_optimizers()).__name__ == "Ranger"
    trainer = fit(build(prior, optimizer="adamw", lr=0.1), tmp_path, 4)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-8)


def test_feature_loss_is_one_without_change_and_zero_at_the_target(prior: str) -> None:
    method = trained(prior, feature_weight=1.0)
    pairs = method.pairs_of({"seed": torch.arange(3)})
    still = pairs["w"][:, None].expand_as(pairs["w_target"])
    assert method.feature_error(pairs, still).item() == pytest.approx(1, rel=1e-4)
    assert method.feature_error(pairs, pairs["w_target"]).item() == pytest.approx(0, abs=1e-6)
    moved = still.clone().requires_grad_()
    method.feature_error(pairs, moved).backward()
    assert moved.grad is not None
    assert moved.grad.any()


def test_pairs_of_another_recipe_or_prior_are_refused(prior: str, tmp_path: Path) -> None:
    method = trained(prior)
    batch: dict[str, Any] = {"w_target": torch.zeros(1), "origin": dict(method.origin)}
    assert method.pairs_of(batch) is batch
    batch["origin"]["estimator"] = "toy_flow"
    with pytest.raises(WeightsError, match="estimator 'toy_flow', but the method has 'dis'"):
        method.pairs_of(batch)
    other = build(save_prior(tmp_path / "other.safetensors", seed=1))
    with pytest.raises(WeightsError, match="made with prior"):
        other.pairs_of({"w_target": torch.zeros(1), "origin": method.origin})


def test_images_depend_on_their_seed_and_follow_the_marks(prior: str) -> None:
    method = trained(prior)
    seed = sample_seed(0, torch.arange(2))
    plain = method.predict_step({"seed": seed}, 0)
    assert torch.equal(plain, method.predict_step({"seed": seed}, 1))
    points, motions, there = marks((5, 0, 0))
    asked = {"seed": seed, "points": points, "motions": motions, "points_mask": there}
    edited = method.predict_step(asked, 0)
    assert edited.shape == plain.shape == (2, 3, 32, 32)
    assert not torch.equal(edited, plain)


def test_variations_show_both_images_of_a_pair_and_four_answers(prior: str) -> None:
    method = trained(prior)
    images = method.supply({"seed": torch.arange(2)}, {"variations"})["variations"]["pairs"]
    assert images.shape == (2, 6, 3, 32, 32)
    pairs = method.renderer(torch.arange(2))
    first = method.draw(method.generator.repeat(pairs["w"]))[0]
    torch.testing.assert_close(images[:, 0], first)


def test_an_untrained_method_does_not_edit(prior: str) -> None:
    method = build(prior)
    with pytest.raises(ValueError, match="not known before training"):
        method.edit(*image(method), *marks((1, 0, 0)))


def test_editor_that_was_saved_makes_the_same_edits(prior: str, tmp_path: Path) -> None:
    method = trained(prior)
    method.gain.fill_(1.25)
    card = {
        "method": ARGUMENTS,
        "prior": {"name": prior, "fingerprint": fingerprint(method.generator)},
    }
    file = tmp_path / "editor.safetensors"
    save_editor(method.editor_state(), file, card)
    w_plus, features = image(method)
    request = marks((3, 1, 0.1), (0, 0, 0))
    expected = method.edit(w_plus, features, *request)
    loaded = UserControllableLT.from_file(file).edit(w_plus, features, *request)
    assert torch.equal(loaded, expected)
    save_editor(method.editor_state(), file, card, half=True)
    half = UserControllableLT.from_file(file).edit(w_plus, features, *request)
    torch.testing.assert_close(half, expected, atol=0.01, rtol=0.01)


def test_editor_of_another_prior_or_size_is_refused(prior: str, tmp_path: Path) -> None:
    method = trained(prior)
    card = {"method": ARGUMENTS, "prior": {"name": prior, "fingerprint": "0" * 64}}
    file = tmp_path / "editor.safetensors"
    save_editor(method.editor_state(), file, card)
    with pytest.raises(WeightsError, match="belongs to the prior with fingerprint"):
        UserControllableLT.from_file(file)
    card["prior"]["fingerprint"] = fingerprint(method.generator)
    save_editor(method.editor_state(), file, card)
    with pytest.raises(WeightsError, match="does not fit the model's arguments"):
        build(prior, dim=8).load_editor(file)
    file.with_suffix(".json").write_text(json.dumps({"what": "else"}))
    with pytest.raises(WeightsError, match="does not describe"):
        UserControllableLT.from_file(file)


def test_editor_that_ships_moves_a_face_to_where_it_is_dragged() -> None:
    method = UserControllableLT.from_file("toy_portrait")
    w_plus = method.generator.repeat(method.sample_w(torch.arange(12) * 977, 0.7))
    before, features = method.draw(w_plus)
    points = torch.tensor([[[32.0, 34.0]]]).expand(12, -1, -1)
    there = torch.ones(12, 1, dtype=torch.bool)
    for direction in ((4.0, 0.0), (-4.0, 0.0), (0.0, 4.0), (0.0, -4.0)):
        motions = torch.tensor([[[*direction, 0.0]]]).expand(12, -1, -1)
        after = method.draw(method.edit(w_plus, features, points, motions, there))[0]
        flow = method.renderer.estimator(before, after).flow[:, :, 24:44, 22:42].mean((0, 2, 3))
        assert float(flow @ torch.tensor(direction)) / 16 > 0.4


class Record(Callback):
    """Writes what each process has seen and learnt."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seeds = folder, list[int]()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, UserControllableLT)
        self.seeds += pl_module.draw_seeds(len(batch["seed"]), trainer.global_step).tolist()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        weights = pl_module.get_submodule("transformer").state_dict()
        torch.save((self.seeds, weights), self.folder / f"rank{trainer.global_rank}.pt")


def test_two_processes_see_other_pairs_and_share_their_weights(prior: str, tmp_path: Path) -> None:
    fit(build(prior), tmp_path, 5, callbacks=[Record(tmp_path)], **two_processes())
    (seeds, weights), (other_seeds, other_weights) = (
        torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)
    )
    assert len({*seeds, *other_seeds}) == 2 * 5 * 4
    torch.testing.assert_close(weights, other_weights, rtol=0, atol=0)
    untrained = build(prior).transformer.state_dict()
    assert not all(torch.equal(value, untrained[key]) for key, value in weights.items())
