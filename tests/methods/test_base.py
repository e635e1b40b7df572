from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning import Trainer

from semsynth.cli import main
from semsynth.errors import UserError
from semsynth.methods import CLVAE
from semsynth.methods.base import RETIRED, without_retired
from tests.methods.conftest import tiny_clvae, tiny_stylegan2


def test_retired_arguments_are_dropped_at_their_defaults_and_refused_otherwise() -> None:
    assert without_retired(RETIRED | {"channels": 8}) == {"channels": 8}
    for name in RETIRED:
        with pytest.raises(UserError, match=f"{name} was retired; .*Use the release that wrote"):
            without_retired({name: "something else"})


@pytest.mark.parametrize("changes", [{}, {"kl_ref_batch": 8}])
def test_checkpoint_opens_at_retired_defaults(changes: dict[str, Any], tmp_path: Path) -> None:
    method = tiny_clvae()
    old = dict(method.hparams) | {"kl_ref_batch": 4, "compile_backend": None} | changes
    content = {"state_dict": method.state_dict(), "hyper_parameters": old}
    file = tmp_path / "old.ckpt"
    torch.save(content | {"pytorch-lightning_version": "2.5.0"}, file)
    if changes:
        with pytest.raises(UserError, match="kl_ref_batch was retired"):
            CLVAE.load_from_checkpoint(file, weights_only=True)
    else:
        opened = CLVAE.load_from_checkpoint(file, weights_only=True)
        assert opened.hparams == method.hparams


TOLD = {
    ("kl_ref_batch", 8): "kl_ref_batch was retired",
    ("kl_reff_batch", 4): "CLVAE has no argument 'kl_reff_batch'",
}


@pytest.mark.parametrize("argument", [("kl_ref_batch", 4), *TOLD])
def test_configuration_of_an_older_run_is_read(
    argument: tuple[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    model = {"class_path": "CLVAE", "init_args": {"channels": 8, argument[0]: argument[1]}}
    file.write_text(yaml.safe_dump({"model": model, "data": {"class_path": "ToyStreet"}}))
    with pytest.raises(SystemExit):
        main(["fit", "--config", str(file), "--print_config"])
    captured = capsys.readouterr()
    if argument not in TOLD:
        given = yaml.safe_load(captured.out)["model"]["init_args"]
        assert given["channels"] == 8
        assert not given.keys() & RETIRED.keys()
    else:
        assert TOLD[argument] in captured.err


@pytest.mark.parametrize("options", [None, {}, {"augment": "ada", "augment_p": 0.8}])
def test_gan_trains_in_bf16_and_counts_its_steps_in_batches(
    options: dict[str, Any] | None, train: Callable[..., Trainer]
) -> None:
    method = tiny_clvae() if options is None else tiny_stylegan2(**options)
    trainer = train(method, precision="bf16-mixed", max_steps=3)
    assert trainer.global_step == 3
    assert trainer.fit_loop.epoch_loop.batch_progress.current.completed == 3
    assert all(p.isfinite().all() for p in method.parameters())
