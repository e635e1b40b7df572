from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningDataModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from semsynth.data.base import SynthesisDataModule
from semsynth.data.labels import LabelSpace
from semsynth.data.shots import Numbers
from semsynth.methods import FewShotSMIS
from semsynth.networks.fewshot.views import make_views
from semsynth.networks.noise import sample_seed
from semsynth.networks.stylegan2.generator import SynthesisNetwork
from semsynth.weights import WeightsError
from semsynth.weights.encoders import save_encoder
from semsynth.weights.priors import fingerprint
from tests.helpers.checks import left_alone, quiet_trainer
from tests.helpers.small_prior import save_prior

SIZE, CLASSES = 32, 4
INVERT = "semsynth.inversion.stored_codes.invert"
Batch = dict[str, Any]
Train = Callable[..., Trainer]


def tiny(prior: str, **changes: Any) -> FewShotSMIS:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"encoder_units": (1, 1, 1, 1), "encoder_widths": (32, 32, 32, 32)}
    arguments |= {"inversion_steps": 4, "perceptual": "none", "lr": 1e-3}
    return FewShotSMIS(CLASSES, (SIZE, SIZE), prior, **(arguments | changes))


def quadrants(size: int = SIZE) -> Tensor:
    half = torch.arange(4).view(2, 2).repeat_interleave(size // 2, 0)
    return half.repeat_interleave(size // 2, 1)


def shots_of(method: FewShotSMIS, count: int = 2, codes: bool = True) -> Batch:
    w_plus = method.generator.repeat(method.sample_w(torch.arange(count) + 100))
    image = method.generator.synthesis(w_plus).clamp(-1, 1).detach()
    shots = {"image": image, "mask": quadrants().expand(count, -1, -1)}
    return shots | ({"w_plus": w_plus.detach()} if codes else {})


class Shots(LightningDataModule):
    def __init__(self, shots: Batch, batch_size: int = 4) -> None:
        super().__init__()
        self.shots, self.batch_size = shots, batch_size

    def train_dataloader(self) -> DataLoader[Batch]:
        return DataLoader(Numbers(1000), batch_size=self.batch_size)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        return batch | {"shots": self.shots}


@pytest.fixture
def fit(tmp_path: Path) -> Train:
    """Train without output on one CPU process, from shots with codes unless others are given."""

    def run(method: FewShotSMIS, shots: Batch | None = None, **options: Any) -> Trainer:
        trainer = quiet_trainer(tmp_path, **({"max_steps": 2} | options))
        torch.manual_seed(7)
        trainer.fit(method, datamodule=Shots(shots or shots_of(method)))
        return trainer

    return run


def losses_of(method: FewShotSMIS) -> list[float]:
    """Collects the loss of each step to come."""
    losses: list[float] = []
    step = method.training_step

    def recorded(batch: Batch, batch_idx: int) -> Tensor:
        loss = step(batch, batch_idx)
        losses.append(float(loss.detach()))
        return loss

    method.training_step = recorded  # type: ignore[method-assign]
    return losses


def predict(method: FewShotSMIS, mask: Tensor, seed: int = 0) -> Tensor:
    seeds = sample_seed(seed, torch.arange(len(mask)))
    with torch.inference_mode():
        return method.eval().predict_step({"mask": mask, "seed": seeds}, 0)


MASKS = torch.stack([quadrants(), quadrants().flip(0), quadrants().t()])


@pytest.mark.parametrize("labelling", ["dense", "sparse", "linear", "strokes"])
def test_two_steps_change_all_of_the_encoder_alone(prior: str, fit: Train, labelling: str) -> None:
    method = tiny(prior, labelling=labelling)
    others = {k for k, _ in method.named_parameters() if not k.startswith("encoder.")}
    assert left_alone(method, fit) == others


@pytest.mark.parametrize("options", [{}, {"layout_weight": 1.0, "augment": "boundaries"}])
def test_training_draws_no_image(
    prior: str, fit: Train, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    method = tiny(prior, **options)
    shots = shots_of(method)

    def refuse(self: SynthesisNetwork, *args: Any) -> Tensor:
        raise AssertionError("an image was drawn")

    monkeypatch.setattr(SynthesisNetwork, "forward", refuse)
    for block in method.generator.synthesis.blocks:
        block.to_rgb = nn.Identity()  # would fail on two arguments
    fit(method, shots)


def test_loss_falls_in_two_hundred_steps(prior: str, fit: Train) -> None:
    method = tiny(prior)
    losses = losses_of(method)
    fit(method, max_steps=200)
    assert sum(losses[-20:]) < 0.8 * sum(losses[:20])


def test_loss_is_the_mean_squared_error_of_the_latents(prior: str) -> None:
    method = tiny(prior, style_weight=0.5)
    predicted, wanted = torch.randn(2, 3, method.generator.num_ws, 8)
    error = (predicted - wanted).square()
    coarse, fine = error[:, :4].mean(), error[:, 4:].mean()  # four latents each
    expected = (coarse + fine / 2) / 1.5
    torch.testing.assert_close(method.latent_loss(predicted, wanted), expected)


def test_latents_of_the_style_need_not_be_predicted(prior: str, fit: Train) -> None:
    method = tiny(prior, style_weight=0.0)
    assert len(method.encoder.heads) == 4
    encoded = method.encode(MASKS)
    mean = method.generator.mean_latent
    assert torch.equal(encoded[:, 4:], mean.expand_as(encoded[:, 4:]))
    fit(method)


def test_an_imported_encoder_draws_what_it_drew(prior: str, tmp_path: Path) -> None:
    source = tiny(prior)
    sizes: Any = {"in_channels": CLASSES, "num_ws": source.generator.num_ws, "image_size": SIZE}
    sizes |= {"w_dim": 8, "units": [1, 1, 1, 1], "widths": [32, 32, 32, 32]}
    card = {"prior": fingerprint(source.generator), "encoder": sizes}
    save_encoder(source.encoder, tmp_path / "encoder.safetensors", card)
    other = tiny(prior)
    for parameter in other.encoder.parameters():
        nn.init.zeros_(parameter)
    other.load_encoder(tmp_path / "encoder.safetensors")
    assert torch.equal(predict(source, MASKS), predict(other, MASKS))
    with pytest.raises(match=r"does not fit: it has groups.*encoder_widths of its"):
        tiny(prior, encoder_units=(1, 1, 2, 1)).load_encoder(tmp_path / "encoder.safetensors")


def test_a_loaded_model_draws_the_same_images(prior: str, fit: Train, tmp_path: Path) -> None:
    method = tiny(prior, labelling="sparse", refine="layers", refine_steps=3)
    trainer = fit(method)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    stored = torch.load(tmp_path / "last.ckpt", weights_only=False)["state_dict"]
    assert not any(key.startswith("generator.") for key in stored)
    loaded = FewShotSMIS.load_from_checkpoint(tmp_path / "last.ckpt")
    assert torch.equal(
        loaded.label(loaded.generator.repeat(torch.zeros(1, 8))),
        method.label(method.generator.repeat(torch.zeros(1, 8))),
    )
    assert torch.equal(predict(method, MASKS), predict(loaded, MASKS))


def test_labels_depend_on_the_first_latents_alone(prior: str) -> None:
    method = tiny(prior)
    method.learn_shots(shots_of(method))
    w_plus = method.generator.repeat(method.sample_w(torch.arange(2)))
    needed = method.generator.synthesis.num_feature_ws(16)
    above, below = w_plus.clone(), w_plus.clone()
    above[:, needed:] += 1
    below[:, needed - 1] += 1
    assert torch.equal(method.scores(w_plus), method.scores(above))
    assert torch.equal(method.label(w_plus), method.label(above))
    assert not torch.equal(method.scores(w_plus), method.scores(below))


def test_photos_without_codes_are_inverted_once(
    prior: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, again = tiny(prior), tiny(prior)
    shots = shots_of(method, codes=False)
    method.learn_shots(shots)
    monkeypatch.setattr(INVERT, None)  # a second inversion would fail
    again.learn_shots(shots)
    assert method.shot_codes is not None
    assert again.shot_codes is not None
    assert torch.equal(method.shot_codes, again.shot_codes)
    with pytest.raises(TypeError):
        tiny(prior, inversion_steps=5).learn_shots(shots)


def test_views_of_a_photo_teach_like_photos(prior: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = tiny(prior, labelling="linear").eval()
    taught, baseline = (
        tiny(prior, labelling="linear", shot_views=True, **options).eval()
        for options in ({}, {"supervision": "pairs"})
    )
    shots = shots_of(plain, count=1, codes=False)
    lookup = torch.arange(256)
    lookup[[0, 1]] = lookup[[1, 0]]
    shots["flip_lookup"] = lookup
    image, mask = make_views(shots["image"], shots["mask"], lookup)
    plain.learn_shots({"image": image, "mask": mask})
    taught.learn_shots(shots)
    assert taught.shot_codes is not None
    assert len(taught.shot_codes) == 6
    assert torch.equal(taught.labeller.weight, plain.labeller.weight)
    baseline.learn_shots(shots)
    assert baseline.shot_codes is not None
    assert len(baseline.shot_codes) == 1
    monkeypatch.setattr(INVERT, None)  # samples of the prior need no views
    taught.learn_shots(shots_of(plain))
    assert len(taught.shot_codes) == 2


def test_a_bad_inversion_is_reported(prior: str) -> None:
    method = tiny(prior)
    shots = shots_of(method, codes=False)
    shots["image"] = torch.ones_like(shots["image"])
    with pytest.warns(UserWarning, match=r"cannot reproduce these images.*0 \(\d"):
        method.learn_shots(shots)


def test_pairs_alone_can_supervise(prior: str, fit: Train) -> None:
    method = tiny(prior, supervision="pairs")
    shots = shots_of(method)
    method.learn_shots(shots)
    w_plus, labels = method.draw_pairs({"shots": shots}, torch.arange(8))
    match = (w_plus[:, None] == shots["w_plus"][None]).all(-1).all(-1)
    assert match.any(1).all()
    assert match.any(0).all()
    assert torch.equal(labels[0], shots["mask"][0])
    fit(method)


def test_the_seed_alone_makes_the_styles_and_the_mask_the_rest(prior: str) -> None:
    method = tiny(prior)
    assert torch.equal(predict(method, MASKS), predict(method, MASKS))
    assert not torch.equal(predict(method, MASKS, 1), predict(method, MASKS, 2))
    plain = tiny(prior, multimodal=False)
    assert torch.equal(predict(plain, MASKS, 1), predict(plain, MASKS, 2))
    w_plus, style = torch.randn(1, method.generator.num_ws, 8), torch.randn(1, 8)
    mixed = method.mix(w_plus, style)
    assert torch.equal(mixed[:, :4], w_plus[:, :4])
    assert torch.equal(mixed[:, 4:], style[:, None].expand(-1, mixed.shape[1] - 4, -1))


def test_styles_can_be_those_of_a_reference(prior: str) -> None:
    method = tiny(prior)
    method.take_style(method.generator.repeat(method.sample_w(torch.tensor([5])))[0])
    assert torch.equal(predict(method, MASKS, 1), predict(method, MASKS, 2))
    expected = method.mix(method.encode(MASKS), method.sample_w(torch.tensor([5])).expand(3, -1))
    torch.testing.assert_close(predict(method, MASKS), method.draw(expected).detach())


def test_the_image_of_a_reference_is_inverted_when_prediction_starts(prior: str) -> None:
    method = tiny(prior)
    image = shots_of(method, 1)["image"][0]
    method.take_style(image)
    method.on_predict_start()
    assert method.reference is not None
    assert method.reference.shape == (1, method.generator.num_ws, 8)
    with pytest.raises(WeightsError, match=r"codes of the reference .*another generator"):
        method.take_style(torch.zeros(18, 512))


def test_variations_replace_layers_from_the_last_one_down(prior: str) -> None:
    method = tiny(prior, multimodal=False).eval()
    with torch.no_grad():
        asked = {"mask": MASKS, "seed": torch.arange(3), "num_samples": 3}
        series = method.supply(asked, {"variations"})["variations"]["mixed_layers"]
        other = method.draw(method.generator.repeat(method.sample_w(torch.arange(3))))
    assert series.shape == (3, 3, 3, SIZE, SIZE)
    torch.testing.assert_close(series[:, 0], predict(method, MASKS))
    torch.testing.assert_close(series[:, -1], other)


@pytest.mark.parametrize("labelling", ["linear", "strokes"])
def test_a_read_out_of_any_size_steers_the_refinement(
    prior: str, fit: Train, labelling: str
) -> None:
    options: dict[str, Any] = {"labelling": labelling, "label_resolutions": (8, 16)}
    method = tiny(prior, **options, label_size=SIZE, layout_weight=1.0, refine="layers")
    fit(method)
    w_plus = method.generator.repeat(method.sample_w(torch.arange(3)))
    assert method.label(w_plus).shape == (3, SIZE, SIZE)
    found = method.refined(w_plus, MASKS)
    assert (method.layout_loss(found, MASKS) < method.layout_loss(w_plus, MASKS)).all()


def test_self_training_learns_from_samples_and_is_the_same_each_time(prior: str) -> None:
    plain, taught, again = (
        tiny(prior, labelling="linear", self_training=n).eval() for n in (0, 4, 4)
    )
    for method in (plain, taught, again):
        method.learn_shots(shots_of(method))
    assert torch.equal(taught.labeller.weight, again.labeller.weight)
    assert not torch.allclose(taught.labeller.weight, plain.labeller.weight)


@pytest.mark.parametrize("labelling", ["dense", "sparse", "linear", "strokes"])
def test_shots_in_other_styles_teach_like_more_shots(prior: str, labelling: str) -> None:
    plain, taught = (
        tiny(prior, labelling=labelling, style_layer=2, shot_styles=n).eval() for n in (0, 3)
    )
    shots = shots_of(plain)
    codes = taught.restyled(shots["w_plus"])
    N = len(shots["w_plus"])
    assert torch.equal(codes[:N], shots["w_plus"])
    others = codes[N:].unflatten(0, (3, N))
    assert torch.equal(others[:, :, :2], shots["w_plus"][None, :, :2].expand(3, -1, -1, -1))
    styles = others[:, :, 2:].flatten(0, 1).flatten(1)
    assert len(styles.unique(dim=0)) == 3 * N  # each in styles of its own
    taught.learn_shots(shots)
    plain.learn_shots({"w_plus": codes, "mask": shots["mask"].repeat(4, 1, 1)})
    for fitted in ("prototypes", "labeller"):
        states = [getattr(method, fitted).state_dict() for method in (plain, taught)]
        torch.testing.assert_close(*states)


def test_strokes_are_drawn_in_the_regions_of_the_read_out(prior: str) -> None:
    method = tiny(prior, labelling="strokes")
    method.learn_shots(shots_of(method))
    labels, seed = MASKS[:, ::2, ::2], torch.arange(3)
    drawn = method.enlarge(labels, seed)
    large = labels.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.equal(drawn.where(drawn != 0, large), large)
    assert (drawn == 0).float().mean() > 0.4
    assert 0 not in method.label(method.generator.repeat(method.sample_w(seed)))


@pytest.mark.parametrize("how", ["paper", "layers"])
def test_refinement_in_inference_mode_changes_the_coarse_latents(prior: str, how: str) -> None:
    method = tiny(prior, refine=how, refine_steps=20).eval()
    method.learn_shots(shots_of(method))
    w_plus = method.generator.repeat(method.sample_w(torch.arange(3)))
    with torch.inference_mode():
        found = method.refined(w_plus.clone(), MASKS.clone())
    assert torch.equal(found[:, 4:], w_plus[:, 4:])
    assert not torch.allclose(found[:, :4], w_plus[:, :4])
    labels = method.shrink(MASKS)
    before, after = (method.layout_loss(w, labels) for w in (w_plus, found))
    assert (after < before).all()


def test_refinement_without_shots_is_refused(prior: str) -> None:
    with pytest.raises(ValueError, match="this model is untrained"):
        predict(tiny(prior, refine="paper"), MASKS)


@pytest.mark.parametrize(
    ("image_size", "changes", "message"),
    [
        (SIZE, {"feature_resolution": 64}, r"has features at 4, 8, 16, 32, not at 64"),
        (16, {}, "draws 16x16 images"),
        (SIZE, {"labelling": "segmenter"}, r"model\.segmenter is for"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    tmp_path: Path, image_size: int, changes: dict[str, Any], message: str
) -> None:
    path = save_prior(tmp_path / "prior.safetensors", image_size=image_size)
    with pytest.raises(ValueError, match=message):
        tiny(path, **changes)


def test_images_of_a_larger_prior_are_averaged(tmp_path: Path) -> None:
    method = tiny(save_prior(tmp_path / "large.safetensors", image_size=64), multimodal=False)
    image = predict(method, MASKS)
    assert image.shape == (3, 3, SIZE, SIZE)
    with torch.no_grad():
        full = method.generator.synthesis(method.encode(MASKS))
    torch.testing.assert_close(image, nn.functional.avg_pool2d(full, 2).clamp(-1, 1))


def test_codes_of_another_generator_and_labels_that_are_no_class_are_refused(prior: str) -> None:
    method = tiny(prior)
    shots = shots_of(method) | {"name": ["a", "b"]}
    with pytest.raises(WeightsError, match=r"shape \(18, 512\).*another generator"):
        method.learn_shots(shots | {"w_plus": torch.zeros(2, 18, 512)})
    shots["mask"] = shots["mask"].clone()
    shots["mask"][1, 3, 3] = 9
    with pytest.raises(ValueError, match=r"label map of b has the value 9; labels are 0 to 3"):
        method.learn_shots(shots)


@pytest.mark.parametrize("when", ["training", "prediction"])
def test_scribbles_that_mark_nothing_are_refused(prior: str, when: str) -> None:
    method = tiny(prior, labelling="sparse")
    shots = shots_of(method) | {"name": ["a", "b"]}
    shots["mask"] = shots["mask"].clone()
    shots["mask"][1] = 0
    look = method.learn_shots if when == "training" else lambda batch: method.predict_step(batch, 0)
    with pytest.raises(ValueError, match="label map of b has no label"):
        look(shots)


@pytest.mark.usefixtures("toy_segmenter")
def test_a_segmenter_can_label_the_samples(prior: str, fit: Train) -> None:
    method = tiny(prior, labelling="segmenter", segmenter="toy_street")
    method.num_classes = 8
    method.encoder = tiny(prior).encoder.__class__(8, 8, SIZE, 8, (1, 1, 1, 1), (32, 32, 32, 32))
    labels = method.label(method.generator.repeat(method.sample_w(torch.arange(2))))
    assert labels.shape == (2, SIZE, SIZE)
    fit(method)


def test_the_data_modules_give_what_the_method_takes(prior: str, tmp_path: Path) -> None:
    """Numbers and all shots in training, samples in evaluation."""

    class Pairs(SynthesisDataModule):
        def dataset(self, split: str) -> Any:
            shots = shots_of(tiny(prior), 6)
            keys = ("image", "mask")
            return [
                {k: shots[k][i].detach() for k in keys} | {"index": torch.tensor(i)}
                for i in range(6)
            ]

        def names(self, split: str) -> list[str]:
            return [str(i) for i in range(6)]

    space = LabelSpace(("a",) * CLASSES, ((0, 0, 0),) * CLASSES, flip_pairs=((0, 1),))
    data = Pairs(space, SIZE, 3, 2, 0, shots=2)
    method = tiny(prior)
    seen: list[Batch] = []

    def keep(outputs: Any, batch: Batch, batch_idx: int) -> None:
        seen.append(batch)

    method.on_train_batch_end = keep  # type: ignore[method-assign]
    trainer = quiet_trainer(tmp_path, max_steps=2, limit_val_batches=1, val_check_interval=1)
    trainer.fit(method, datamodule=data)
    assert all(set(batch) == {"index", "shots"} for batch in seen)
    assert seen[0]["index"].shape == (3,)
    assert seen[0]["shots"]["mask"].shape == (2, SIZE, SIZE)
    assert seen[0]["shots"]["index"].tolist() == data.train_ids
    assert seen[0]["shots"]["flip_lookup"][:3].tolist() == [1, 0, 2]
