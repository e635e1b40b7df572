from pathlib import Path

import yaml

from semsynth.cli.arguments import files_first, normalised, with_config_of_run, without_places

HERE = ["--run_dir=null", "--checkpoint.dirpath=null", "--trainer.default_root_dir=null"]


def test_checkpoint_brings_the_configuration_of_its_run(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    args = ["test", "--ckpt_path", f"{tmp_path}/checkpoints/last.ckpt"]
    assert with_config_of_run(args) == args
    config.touch()
    here = ["--config", str(config), f"--run_dir={tmp_path}"]
    assert with_config_of_run(args) == ["test", *here, *args[1:]]
    last = ["fit", "--run_dir", str(tmp_path), "--ckpt_path=last"]
    assert with_config_of_run(last) == ["fit", *here, *last[1:]]
    given = [*args, "--config=mine.yaml"]
    assert with_config_of_run(given) == given


def test_configuration_saved_with_the_place_of_its_run_forgets_it(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    args = ["fit", "--config", str(config)]
    places = {"run_dir": "a", "checkpoint": {"dirpath": "a/checkpoints"}}
    config.write_text(yaml.safe_dump(places | {"trainer": {"default_root_dir": "a"}}))
    assert without_places([*args, "--run_dir=b"]) == [*args, *HERE, "--run_dir=b"]
    config.write_text(yaml.safe_dump(places | {"trainer": {"default_root_dir": "mine"}}))
    assert without_places(args) == args  # written by hand


def test_last_checkpoint_is_that_of_the_run_whose_configuration_is_given(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.touch()
    args = ["fit", "--config", str(config), "--ckpt_path=last"]
    assert normalised(args) == args
    (tmp_path / "checkpoints").mkdir()
    assert normalised(args) == [*args, f"--run_dir={tmp_path}"]
    assert normalised([*args, "--run_dir=b"]) == [*args, "--run_dir=b"]


def test_switch_without_a_value_means_true() -> None:
    args = ["fit", "--overwrite", "--verbose", "false", "--config=a.yaml", "--test_after_fit"]
    assert normalised(args) == [
        *("fit", "--config", "a.yaml", "--overwrite=true", "--verbose", "false"),
        "--test_after_fit=true",
    ]


def test_numbers_after_a_flag_are_a_list() -> None:
    words = "--data.range 0 4095 --config a.yaml --data.size [192, 256] --run_dir 1 --model.lr 1e-4"
    assert normalised(["fit", *words.split()]) == [
        *("fit", "--config", "a.yaml", "--data.range", "[0,4095]", "--data.size", "[192,256]"),
        *("--run_dir", "1", "--model.lr", "1e-4"),
    ]


def test_files_come_before_the_flags_that_override_them(tmp_path: Path) -> None:
    args = ["fit", "--model.lr=1", "--config", "a.yaml --model.lr 2 --x 'b c'", "-c=d.yaml", "--y"]
    assert files_first(args) == [
        *("fit", "--config", "a.yaml", "--model.lr", "2", "--x", "b c", "--config", "d.yaml"),
        *("--model.lr=1", "--y"),
    ]
    spaced = tmp_path / "my file.yaml"
    spaced.touch()
    assert files_first(["fit", f"--config={spaced}"]) == ["fit", "--config", str(spaced)]
