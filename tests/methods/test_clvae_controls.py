"""The controls of section 7: sample, encode, reconstruct, transfer, swap, interpolate, replace."""

import pytest
import torch

from semsynth.methods import CLVAE
from semsynth.networks.clvae.style_codes import interpolate, swap

from .conftest import Batch, seeded, tiny_clvae


@pytest.fixture
def method() -> CLVAE:
    method = tiny_clvae(init="xavier").eval()
    for parameter in method.generator.parameters():  # let the codes matter before training
        parameter.data.mul_(3)
    method.generator.decoder.to_image.weight.data.mul_(1000)
    return method


def decode(method: CLVAE, batch: Batch, codes: object) -> torch.Tensor:
    with torch.no_grad():
        return method.decode(batch, codes.z_global, codes.z_local)  # type: ignore[attr-defined]


def test_same_seed_gives_a_class_the_same_code_under_any_mask(
    method: CLVAE, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(method, "decode", lambda batch, z_global, z_local: seen.append(z_local))
    for mask in (batch["mask"], torch.zeros_like(batch["mask"])):
        method.predict_step({**seeded(batch), "mask": mask}, 0)
    assert torch.equal(*seen)


def test_encoding_gives_means_or_samples_around_them(method: CLVAE, batch: Batch) -> None:
    with torch.no_grad():
        mean = method.encode(batch)
        first, again = (method.encode(batch, torch.tensor([1, 2])) for _ in range(2))
        posterior = method.encoder(batch["image"], batch["mask"])
    assert torch.equal(mean.z_local, posterior.mu)
    assert torch.equal(first.z_local, again.z_local)
    noise = (first.z_local - mean.z_local) / (0.5 * posterior.logvar).exp()
    torch.testing.assert_close(
        noise, method.sample(torch.tensor([1, 2])).z_local, atol=1e-4, rtol=1e-4
    )


def test_style_of_an_image_on_itself_is_its_reconstruction(method: CLVAE, batch: Batch) -> None:
    one = {k: v[:1] for k, v in seeded(batch).items()}
    with torch.no_grad():
        codes = method.encode(one)
        expected = decode(method, one, codes)
        styled = method.styled(one, reference={k: one[k] for k in ("image", "mask")})
    torch.testing.assert_close(styled, expected)


def test_classes_that_the_reference_lacks_are_drawn(method: CLVAE, batch: Batch) -> None:
    reference = {"image": batch["image"][:1], "mask": batch["mask"][:1].clamp_max(2)}
    with torch.no_grad():
        images = [
            method.styled({**batch, "seed": torch.tensor(s)}, reference=reference)
            for s in ([1, 1], [2, 2])
        ]
    change = (images[0] - images[1]).abs().mean(1)  # (B, H, W)
    assert change[batch["mask"] == 3].mean() > 5 * change[batch["mask"] == 0].mean()


def test_redrawing_a_class_of_a_photo_keeps_the_pixels_outside(method: CLVAE, batch: Batch) -> None:
    with torch.no_grad():
        image = method.styled(seeded(batch), classes=[1], keep=True)
    outside = (batch["mask"] != 1)[:, None].expand_as(image)
    assert torch.equal(image[outside], batch["image"][outside])
    assert not torch.equal(image, batch["image"])


def test_swapping_a_class_between_images_changes_it_most(method: CLVAE, batch: Batch) -> None:
    a, b = method.sample(torch.tensor([1, 2])), method.sample(torch.tensor([3, 4]))
    swapped, _ = swap(a, b, method.where([2]))
    change = (decode(method, batch, a) - decode(method, batch, swapped)).abs().mean(1)
    region = batch["mask"] == 2
    assert change[region].mean() > 2 * change[~region].mean()


def test_interpolation_goes_from_one_image_to_the_other(method: CLVAE, batch: Batch) -> None:
    a, b = method.sample(torch.tensor([1, 2])), method.sample(torch.tensor([3, 4]))
    ends = [decode(method, batch, codes) for codes in (a, b)]
    path = [decode(method, batch, interpolate(a, b, w, "slerp")) for w in (0.0, 0.5, 1.0)]
    torch.testing.assert_close(path[0], ends[0], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(path[2], ends[1], atol=1e-3, rtol=1e-3)
    assert not torch.allclose(path[1], ends[0], atol=0.05)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"keep": True}, "give the classes to edit"), ({"classes": [9]}, "There is no class 9")],
)
def test_control_that_cannot_be_done_says_why(
    method: CLVAE, batch: Batch, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        method.styled(seeded(batch), **changes)  # type: ignore[arg-type]


def test_masks_alone_cannot_be_edited_as_photos(method: CLVAE, batch: Batch) -> None:
    only = {k: v for k, v in seeded(batch).items() if k != "image"}
    with pytest.raises(ValueError, match="Without images there are no codes"):
        method.styled(only, classes=[1])


def test_one_code_for_all_classes_has_no_classes_to_choose(batch: Batch) -> None:
    with pytest.raises(ValueError, match="one code for all classes"):
        tiny_clvae(class_wise=False).where([1])
