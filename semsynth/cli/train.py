"""The commands that train and measure: one LightningCLI in omegaconf mode."""

import json
import logging
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import torch
import wandb
import yaml
from jsonargparse import Namespace
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import (
    ArgsType,
    LightningArgumentParser,
    LightningCLI,
    SaveConfigCallback,
)
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf.errors import OmegaConfBaseException

import semsynth.methods
import semsynth.metrics  # noqa: F401  its classes can be named in YAML
from semsynth.callbacks import (
    Checkpoint,
    Cost,
    Evaluation,
    FiniteLosses,
    ImageLogger,
    Position,
    PredictionWriter,
    Requeue,
    StepSeed,
    run_directory,
)
from semsynth.callbacks.checkpoint_io import SafeCheckpointIO
from semsynth.callbacks.loggers import RunLabels, build_loggers, silence_noise
from semsynth.cli import COMMANDS, preflight
from semsynth.cli.messages import Parser, check_files, unwrapped
from semsynth.cli.predict_style import add_style_arguments, read_style
from semsynth.cli.sbatch import value_of
from semsynth.data import MaskFolder, SynthesisDataModule
from semsynth.errors import UserError, require_writable
from semsynth.files import write_text
from semsynth.methods.base import without_retired
from semsynth.methods.opening import check_checkpoint

DEFAULTS = Path(__file__).parents[1] / "default.yaml"

USAGE = "semsynth {command} [--config FILE ...] [--KEY VALUE ...]"
TITLES = {
    "trainer": "Trainer: devices, precision, length (Lightning)",
    "model": "Method: its hyperparameters, shown by --model.help CLASS",
    "data": "Data: its arguments, shown by --data.help CLASS",
    "checkpoint": "Checkpoints: when and how many (Lightning)",
    "evaluation": "Evaluation: what is measured on the validation and test splits",
    "images": "Pictures: grids of samples, written to the run directory and to W&B",
}
MASKS = "Directory of masks to synthesise from (default: those of the test split)."
OUTPUT = "Directory of the images (default: RUN_DIR/predictions)."


class TrainingParser(Parser, LightningArgumentParser):
    """LightningCLI's parser with errors in one sentence."""

    def parse_string(self, content: str, *args: Any, **kwargs: Any) -> Namespace:
        """Parse a configuration without the retired arguments of older runs."""
        values = yaml.safe_load(content)
        if (kept := less_retired(values)) != values:
            content = yaml.safe_dump(kept)
        return super().parse_string(content, *args, **kwargs)


class SaveConfig(SaveConfigCallback):
    """Writes ``config.yaml`` into the run directory and logs it to W&B."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Save the configuration of a training only."""
        if stage != "fit":
            return
        directory = Path(trainer.default_root_dir)
        config = self.config.clone()
        for key in ("config", "ckpt_path", "overwrite"):
            config.pop(key, None)
        write_text(directory / "config.yaml", self.parser.dump(config, skip_none=False))
        space = getattr(trainer.datamodule, "label_space", None)  # type: ignore[attr-defined]
        if space is not None:
            (directory / "classes.json").write_text(json.dumps(list(space.names)) + "\n")
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.config.update(config.as_dict(), allow_val_change=True)


class SemsynthCLI(LightningCLI):
    """``semsynth fit | validate | test | predict``."""

    def __init__(self, command: str, args: list[str]) -> None:
        self.command = command
        self.config_files = config_files(args)
        super().__init__(
            datamodule_class=SynthesisDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=SaveConfig,
            save_config_kwargs={"save_to_log_dir": False},
            seed_everything_default=42,
            parser_kwargs={
                "prog": "semsynth",
                "parser_mode": "omegaconf",
                "allow_abbrev": False,  # a misspelt flag is not an abbreviation
                command: {
                    "prog": f"semsynth {command}",
                    "usage": USAGE.format(command=command),
                    "description": COMMANDS[command].capitalize() + ".",
                    "parser_mode": "omegaconf",
                    "default_config_files": [str(DEFAULTS)],
                },
            },
            parser_class=TrainingParser,
            auto_configure_optimizers=False,
            args=args,
        )

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """A parser with the names of the configuration files, for its messages."""
        parser: Any = super().init_parser(**kwargs)
        parser.files = self.config_files
        return parser

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """The requested command."""
        return {self.command: LightningCLI.subcommands()[self.command]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add callbacks and the run directory; link what data and model share."""
        parser.add_lightning_class_args(Checkpoint, "checkpoint")
        parser.add_lightning_class_args(Evaluation, "evaluation")
        parser.add_lightning_class_args(ImageLogger, "images")
        parser.add_argument(
            "--run_dir",
            type=str | None,
            default=None,
            help="Directory of the run (default: outputs/EXPERIMENT/seedSEED-HASH).",
        )
        parser.add_argument(
            "--overwrite", type=bool, default=False, help="Replace an existing run."
        )
        parser.add_argument(
            "--test_after_fit", type=bool, default=True, help="Test after training."
        )
        for name in ("num_classes", "image_size"):
            parser.link_arguments(f"data.{name}", f"model.init_args.{name}", apply_on="instantiate")

    def _prepare_subcommand_parser(
        self, klass: type, subcommand: str, **kwargs: Any
    ) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        groups = parser.groups or {}
        for key, title in TITLES.items():
            groups[key].title = title
        if subcommand == "predict":
            parser.add_argument("--masks", type=str | None, default=None, help=MASKS)
            parser.add_argument("--output", type=str | None, default=None, help=OUTPUT)
            parser.add_argument("--num_samples", type=int, default=4, help="Images for each mask.")
            parser.add_argument("--seed", type=int, default=0, help="Seed of the images.")
            add_style_arguments(parser)
            parser.set_defaults(return_predictions=False)
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the arguments; errors end in one message."""
        try:
            check_files(self.config_files)
            self.config = parser.parse_args(args)  # type: ignore[arg-type]  # always a list here
        except (UserError, OmegaConfBaseException) as error:
            self._parser(self.command).error(" ".join(str(error).split()))

    def _parse_ckpt_path(self) -> None:
        """Do not rebuild the model from the checkpoint: the run's config.yaml does that."""

    def before_instantiate_classes(self) -> None:
        """Fix the run directory, where checkpoints and logs go."""
        config = self.config[self.command]
        if config.run_dir is None:
            values = yaml.safe_load(self._parser(self.command).dump(config, skip_none=False))
            files = [str(file) for file in config.get("config") or []]
            config.run_dir = str(run_directory.default_directory(values, *files[:1]))
        self.run_dir = Path(config.run_dir)
        require_writable(self.run_dir, "--run_dir")
        preflight.check_numbers(config.as_dict())
        config.weights_only = True  # nothing in the file is executed
        if config.checkpoint.dirpath is None:
            config.checkpoint.dirpath = str(self.run_dir / "checkpoints")
        if config.trainer.default_root_dir is None:
            config.trainer.default_root_dir = str(self.run_dir)
        if config.ckpt_path == "last":
            found = run_directory.last_checkpoint(self.run_dir)
            if found is not None or self.command == "fit":
                config.ckpt_path = found and str(found)
            return
        starts = self.command == "fit" and not (config.ckpt_path or config.trainer.fast_dev_run)
        if starts and rank_of_process() == 0:
            run_directory.prepare(self.run_dir, config.overwrite)

    def instantiate_classes(self) -> None:
        """Build data, model and trainer; ``--masks`` replace the data of predictions."""
        with unwrapped(), preflight.explained(None):
            super().instantiate_classes()
        if self.command == "predict" and (masks := self.config.predict.masks) is not None:
            self.datamodule = MaskFolder(masks, self.datamodule)

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback]) -> Trainer:
        for callback in callbacks:
            if self.command != "predict" and isinstance(callback, Evaluation):
                callback.build()  # report missing weights before data are read and the run starts
        preflight.check_trainer(config)
        choose_strategy(config)
        plugins = config.get("plugins") or []
        plugins = plugins if isinstance(plugins, list | tuple) else [plugins]
        config["plugins"] = [*plugins, SafeCheckpointIO()]
        about = describe_run(self.config[self.command])
        config["logger"] = build_loggers(config["logger"], self.run_dir, self.command, about)
        if self.command == "fit":
            callbacks = [*callbacks, Position(), StepSeed(), Cost(), FiniteLosses(), Requeue()]
        if self.command == "predict":
            options = self.config.predict
            output = options.output or str(self.run_dir / "predictions")
            kept = [c for c in callbacks if isinstance(c, Checkpoint)]  # finds "last"
            style = read_style(options.style, self.model, self.datamodule)
            writer = PredictionWriter(output, options.num_samples, options.seed, style)
            callbacks = [*kept, writer]
        return super()._instantiate_trainer(config, callbacks)

    def before_fit(self) -> None:
        """Refuse Lightning's gradient accumulation for a method with manual optimisation."""
        if self.model.automatic_optimization or self.trainer.accumulate_grad_batches == 1:
            return
        own = "accumulate_grad_batches" in self.model.hparams
        remedy = "--model.accumulate_grad_batches" if own else "a larger --data.batch_size"
        raise MisconfigurationException(
            f"{type(self.model).__name__} steps its optimizers itself, so the trainer cannot "
            f"accumulate gradients for it. Use {remedy} instead of "
            "--trainer.accumulate_grad_batches."
        )

    def after_fit(self) -> None:
        """Test the final weights."""
        config = self.config.fit
        if config.test_after_fit and not config.trainer.fast_dev_run:
            self.trainer.test(self.model, self.datamodule, verbose=False)

    def _run_subcommand(self, subcommand: str) -> None:
        """Run the command; external failures are reported with a remedy."""
        checkpoint = self.config[subcommand].ckpt_path
        check_checkpoint(checkpoint, type(self.model).__name__)
        try:
            with preflight.explained(checkpoint):
                super()._run_subcommand(subcommand)
        except Exception as error:
            if (message := preflight.explain_fault(error, self.config[self.command])) is None:
                raise
            raise preflight.FaultError(message) from error


class WeightsCheck(SemsynthCLI):
    """Builds everything for a training without training; missing files raise errors."""

    def before_instantiate_classes(self) -> None:
        """Leave run directories alone."""
        config = self.config[self.command]
        config.run_dir = config.run_dir or "unused"
        super().before_instantiate_classes()

    def _run_subcommand(self, subcommand: str) -> None:
        self.model.trainer = self.trainer
        self.model.setup("fit")


def prepare_weights(args: list[str]) -> None:
    """Check the weights that ``semsynth fit`` with these arguments needs."""
    here = ["accelerator=cpu", "devices=1", "num_nodes=1", "strategy=auto", "logger=false"]
    silence_noise()
    WeightsCheck("fit", ["fit", *args, *(f"--trainer.{flag}" for flag in here)])


def less_retired(values: Any) -> Any:
    """A configuration without the retired arguments of its classes."""
    if isinstance(values, list):
        return [less_retired(value) for value in values]
    if not isinstance(values, dict):
        return values
    kept = {key: less_retired(value) for key, value in values.items()}
    if isinstance(arguments := kept.get("init_args"), dict):
        kept["init_args"] = without_retired(arguments)
    return kept


def describe_run(config: Any) -> RunLabels:
    """Experiment, method and data of a run, by which W&B groups and filters."""
    given = [str(file) for file in config.get("config") or []]
    files = [file for file in given if Path(file).name != "config.yaml"]  # not that of a run
    names = [config[key].class_path.rsplit(".", 1)[-1] for key in ("model", "data")]
    values = {"model": {"class_path": names[0]}}
    return RunLabels(run_directory.experiment_name(values, files[0] if files else None), names)


def rank_of_process() -> int:
    """Global rank of this process, from its launcher, before there is a trainer."""
    names = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
    return next((int(os.environ[name]) for name in names if name in os.environ), 0)


def choose_strategy(trainer: dict[str, Any]) -> None:
    """Replace ``strategy: auto`` on several devices by DDP for GANs, with SyncBatchNorm.

    Lightning's choice, plain DDP, fails when a network gets no gradient in a step.
    """
    devices, accelerator = trainer["devices"], trainer["accelerator"]
    on_gpu = torch.cuda.is_available() and accelerator in ("auto", "gpu", "cuda")
    if devices in ("auto", -1, "-1"):
        count = torch.cuda.device_count() if on_gpu else 1
    elif str(devices).isdigit():
        count = int(devices)
    else:
        count = len(devices) if isinstance(devices, list) else str(devices).count(",") + 1
    if trainer["strategy"] == "auto" and count * trainer["num_nodes"] > 1:
        trainer["strategy"] = "ddp_find_unused_parameters_true"
        trainer["sync_batchnorm"] = on_gpu  # torch has it on GPUs only


def config_files(args: list[str]) -> tuple[str, ...]:
    """Files given by ``--config`` or ``-c``."""
    pairs = zip(args, [*args[1:], ""], strict=True)
    return tuple(
        arg.partition("=")[2] or following
        for arg, following in pairs
        if arg.partition("=")[0] in ("-c", "--config")
    )


def files_first(args: list[str]) -> list[str]:
    """Put configuration files before the flags that override their values.

    W&B's agent sorts flags by its own rules. A sweep may also give flags together with a file, as
    the value of one parameter: ``--config="FILE --KEY VALUE"``.
    """
    files, flags, rest = [], [], iter(args[1:])
    for arg in rest:
        if arg.partition("=")[0] not in ("-c", "--config"):
            flags.append(arg)
            continue
        value = arg.partition("=")[2] or next(rest, "")
        words = [value] if Path(value).is_file() else shlex.split(value)
        files += ["--config", *(words[:1] or [value]), *words[1:]]
    return [args[0], *files, *flags]


def with_config_of_run(args: list[str]) -> list[str]:
    """Add the configuration of the checkpoint's run, if none is given."""
    if config_files(args) or "-h" in args or "--help" in args:
        return args
    directory = run_directory.of_checkpoint(checkpoint := value_of(args, "--ckpt_path", ""))
    config = directory / "config.yaml"
    if not checkpoint or not config.is_file():
        return args
    here = [f"--run_dir={directory}", *run_directory.derived(config)]
    return [args[0], "--config", str(config), *here, *args[1:]]


def run(args: list[str]) -> None:
    """Run a command."""
    logging.basicConfig(format="%(message)s")
    silence_noise()
    torch.set_float32_matmul_precision("high")
    try:
        args = with_config_of_run(files_first(args))
        preflight.require_config(args, config_files(args))
        SemsynthCLI(args[0], args)
    except SIGTERMException:
        sys.exit(143)  # Lightning exits with 0, which a batch system considers success
    finally:
        wandb.finish()  # else a second run in this process would join the first
