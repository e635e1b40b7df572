from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from semsynth.cli import main
from semsynth.interop.checkpoints import CheckpointError
from semsynth.interop.clvae import (
    DATA_SETS,
    RULES,
    build_networks,
    choose_size,
    configuration,
    import_clvae,
)
from semsynth.interop.tensors import official_name
from semsynth.methods import CLVAE
from semsynth.networks.clvae.layouts import one_hot
from tests.interop.conftest import Outputs

TINY = {
    "num_classes": 5,
    "image_size": (256, 256),
    "channels": 2,
    "spade_channels": 4,
    "z_dim": 6,
    "code_dim": 3,
    "upsampling": "normal",
    "encoder_size": 128,
    "discriminator_channels": 4,
}
State = dict[str, Tensor]
Fixture = tuple[Any, CLVAE, State]


def official(**changes: Any) -> dict[str, State]:
    """Random states of the three official files."""
    networks = build_networks(TINY | changes)
    generator = torch.Generator().manual_seed(0)
    return {
        letter: {
            official_name(key, RULES[name]): torch.rand(value.shape, generator=generator)
            for key, value in networks[name].state_dict().items()
        }
        for name, letter in (("generator", "G"), ("encoder", "E"), ("discriminator", "D"))
    }


def save(states: dict[str, State], directory: Path, epoch: str = "latest") -> Path:
    for letter, state in states.items():
        torch.save(state, directory / f"{epoch}_net_{letter}.pth")
    return directory


def imported_method(source: Path, out: Path, *flags: str) -> CLVAE:
    main(["import", str(source), "--as", "clvae", "--out", str(out), *flags])
    method = CLVAE.load_from_checkpoint(out / "checkpoints/official.ckpt", weights_only=True)
    return method.eval()


@pytest.fixture(scope="module")
def fixture(tmp_path_factory: pytest.TempPathFactory) -> Fixture:
    """What is stored, the imported method and the inputs."""
    official = Outputs("clvae")
    states = {letter: official.weights(shapes) for letter, shapes in official.keys.items()}
    directory, size = tmp_path_factory.mktemp("official"), official.config["image_size"]
    flags = ("--image_size", *map(str, size))
    method = imported_method(save(states, directory), directory / "run", *flags)
    inputs = {
        "image": official.normal("image", 1, 3, *size).tanh(),
        "mask": torch.from_numpy(official.stored["mask"]).long()[None],
        "z_global": official.normal("z_global", 1, *official.stored["mu_global"].shape),
        "z_local": official.normal("z_local", 1, *official.stored["mu"].shape),
    }
    return official.stored, method, inputs


def relative_error(ours: Tensor, theirs: np.ndarray, scale: np.ndarray) -> float:
    return float(np.abs(ours.numpy() - theirs).max() / np.abs(scale).mean())


@torch.no_grad()
def test_generator_gives_the_images_of_the_official_code(fixture: Fixture) -> None:
    stored, method, inputs = fixture
    image = method.generator(inputs["mask"], inputs["z_global"], inputs["z_local"])
    assert np.abs(image[0, :, ::4, ::4].numpy() - stored["image_out"]).max() < 1e-3


@torch.no_grad()
def test_encoder_gives_the_codes_of_the_official_code(fixture: Fixture) -> None:
    stored, method, inputs = fixture
    posterior = method.encoder(inputs["image"], inputs["mask"])
    assert np.array_equal(posterior.present[0].numpy(), stored["present"].astype(bool))
    for name in ("mu_global", "logvar_global", "mu", "logvar"):
        scale = stored[name.removesuffix("_global")]  # global codes are small beside the others
        assert relative_error(getattr(posterior, name)[0], stored[name], scale) < 1e-4, name


@torch.no_grad()
def test_discriminator_gives_the_logits_of_the_official_code(fixture: Fixture) -> None:
    stored, method, inputs = fixture
    layout = one_hot(inputs["mask"], method.num_classes)
    for (_, logits), name in zip(
        method.discriminator(layout, inputs["image"]), ("d0", "d1"), strict=True
    ):
        assert relative_error(logits[0], stored[name], stored[name]) < 1e-4


def test_names_are_those_of_the_official_files() -> None:
    ade = TINY | {"num_classes": 151, "channels": 64, "spade_channels": 128, "z_dim": 256}
    networks = build_networks(ade | {"code_dim": 151, "encoder_size": 256})
    names = {
        name: {official_name(k, RULES[name]) for k in networks[name].state_dict()}
        for name in networks
    }
    assert [len(v) for v in names.values()] == [235, 42, 26]
    assert {"G_middle_0.norm_1.mlp_gamma.weight", "up_3.conv_s.weight_u"} <= names["generator"]
    assert {"layer6.0.weight_v", "fc_var5.bias", "fc_mu.weight"} <= names["encoder"]
    assert "discriminator_1.model3.0.0.weight_orig" in names["discriminator"]


@pytest.mark.parametrize("upsampling", ["normal", "more", "most"])
def test_architecture_is_inferred_from_shapes_and_image_size(
    upsampling: str, tmp_path: Path
) -> None:
    changes = {"image_size": (256, 512), "upsampling": upsampling}
    imported = import_clvae(save(official(**changes), tmp_path), (256, 512))
    assert imported.arguments == TINY | changes


def test_generator_alone_synthesises_and_says_that_it_cannot_encode(tmp_path: Path) -> None:
    states = official(image_size=(64, 64))
    save({"G": states["G"]}, tmp_path)
    method = imported_method(tmp_path, tmp_path / "run", "--image_size", "64", "64")
    assert method.absent == ("encoder", "discriminator")
    batch = {"mask": torch.zeros(1, 64, 64).long(), "image": torch.zeros(1, 3, 64, 64)}
    assert method.predict_step({**batch, "seed": torch.tensor([1])}, 0).shape == (1, 3, 64, 64)
    with pytest.raises(ValueError, match=r"has no encoder; import.*_net_E\.pth"):
        method.encode(batch)


def test_raw_order_moves_unknown_from_the_first_channel_to_the_last(tmp_path: Path) -> None:
    changes = {"image_size": (64, 64)}
    save(official(**changes), tmp_path)
    kept, moved = (
        imported_method(tmp_path, tmp_path / o, "--label_order", o, "--image_size", "64", "64")
        for o in ("shifted", "raw")
    )
    ours = torch.randint(0, 5, (1, 8, 8)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    raw = (ours + 1) % 5  # our 4 is unknown, 0 on disk
    codes = torch.randn(1, 5, 5, 3)
    raw_codes = codes[:, :, [4, 0, 1, 2, 3]]
    z_global, image = torch.randn(1, 6), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        a, b = kept.generator(raw, z_global, raw_codes), moved.generator(ours, z_global, codes)
        torch.testing.assert_close(a, b)
        judged = [m.discriminator(one_hot(x, 5), image) for m, x in ((kept, raw), (moved, ours))]
    for (_, logits), (_, expected) in zip(*judged, strict=True):
        torch.testing.assert_close(logits, expected)


def test_label_order_is_raw_for_ade20k_and_kept_for_others(tmp_path: Path) -> None:
    for num_classes, order in ((151, "raw"), (5, "shifted")):
        save(official(num_classes=num_classes), tmp_path)
        assert import_clvae(tmp_path).label_order == order


def test_command_finds_the_configuration_of_an_import(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(official(image_size=(64, 64)), tmp_path)
    imported_method(tmp_path, tmp_path / "run", "--image_size", "64", "64")
    capsys.readouterr()
    path = tmp_path / "run/checkpoints/official.ckpt"
    with pytest.raises(SystemExit):
        main(["predict", "--ckpt_path", str(path), "--print_config"])
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["model"]["init_args"]["code_dim"] == 3
    assert config["data"]["init_args"]["num_classes"] == 5


@pytest.mark.parametrize("num_classes", [*DATA_SETS, 7])
def test_configuration_is_one_that_the_commands_take(
    num_classes: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = (256, 512)
    config = configuration(TINY | {"num_classes": num_classes, "image_size": size})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit):
        main(["test", "--config", str(tmp_path / "config.yaml"), "--print_config"])
    assert tuple(yaml.safe_load(capsys.readouterr().out)["data"]["init_args"]["image_size"]) == size


Damage = Callable[[dict[str, State]], object]
DAMAGES: list[tuple[Damage, str]] = [
    (
        lambda s: s["G"].pop("up_1.conv_s.weight_u"),
        r"latest_net_G\.pth: its generator lacks tensors: up_1\.conv_s\.weight_u",
    ),
    (
        lambda s: s["E"].update({"layer7.0.weight_orig": torch.zeros(1)}),
        r"latest_net_E\.pth: .*unknown tensors: layer7\.0\.weight_orig",
    ),
    (
        lambda s: s["G"].update({"up_1.norm_s.mlp_beta.bias": torch.zeros(3)}),
        r"up_1\.norm_s\.mlp_beta\.bias has shape \(3,\), .* require \(16,\)",
    ),
    (lambda s: s["G"].pop("embedding.weight"), "a SPADE generator, not a CLVAE"),
    (
        lambda s: s["G"].update({"fc.weight": torch.zeros(16 * 2 * 9, 6)}),
        "9 cells.*--image_size HEIGHT WIDTH",
    ),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_file_that_is_not_understood_is_refused(
    damage: Damage, message: str, tmp_path: Path
) -> None:
    states = official()
    damage(states)
    save(states, tmp_path)
    with pytest.raises(SystemExit, match=message):
        imported_method(tmp_path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_image_size_that_the_first_map_cannot_reach_is_refused() -> None:
    assert choose_size(64, (512, 512), most=False) == ((512, 512), "more")
    with pytest.raises(CheckpointError, match=r"\(normal, more\) makes images of 96x96"):
        choose_size(64, (96, 96), most=False)


def test_one_of_several_epochs_must_be_named(tmp_path: Path) -> None:
    states = official()
    for epoch in ("10", "20"):
        save(states, tmp_path, epoch)
    with pytest.raises(CheckpointError, match=r"found 10_net_G\.pth, 20_net_G\.pth"):
        import_clvae(tmp_path)
    assert import_clvae(tmp_path / "20_net_G.pth").files[1].name == "20_net_E.pth"
    with pytest.raises(CheckpointError, match=r"found none"):
        import_clvae(tmp_path / "..")


def test_import_is_replaced_only_when_asked(tmp_path: Path) -> None:
    save({"G": official()["G"]}, tmp_path)
    imported_method(tmp_path, tmp_path / "run")
    with pytest.raises(SystemExit, match="already exists"):
        imported_method(tmp_path, tmp_path / "run")
    imported_method(tmp_path, tmp_path / "run", "--overwrite")
    with pytest.raises(SystemExit, match="--half is for safetensors"):
        imported_method(tmp_path, tmp_path / "other", "--half")
