import subprocess

import pytest

from semsynth.cli import main
from semsynth.cli.sbatch import script

ARGS = ["fit", "--config", "my file.yaml", "--trainer.devices", "4", "--trainer.num_nodes=2"]


def test_script_asks_for_a_task_for_each_process_and_goes_on_when_requeued() -> None:
    text = script(["fit", "--print-sbatch", "partition=gpu", "time=1:00:00", *ARGS[1:]])
    lines = text.splitlines()
    assert lines[0] == "#!/bin/bash"
    options = "nodes=2", "ntasks-per-node=4", "gpus-per-node=4", "partition=gpu", "time=1:00:00"
    for option in (*options, "signal=SIGUSR1@90", "requeue"):
        assert f"#SBATCH --{option}" in lines
    assert lines[-1] == (
        "srun semsynth fit --config 'my file.yaml' --trainer.devices 4 --trainer.num_nodes=2 "
        "--ckpt_path last"
    )
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_script_for_processors_asks_for_no_gpus_and_keeps_a_checkpoint_that_is_named() -> None:
    more = ["--trainer.accelerator=cpu", "--ckpt_path=a.ckpt"]
    text = script([*ARGS, *more, "--print-sbatch"])
    assert "gpus" not in text
    assert "--ckpt_path last" not in text


def test_command_prints_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    main([*ARGS, "--print_sbatch"])
    assert capsys.readouterr().out.startswith("#!/bin/bash")
