"""The commands that train and measure: one LightningCLI in omegaconf mode."""

import json
import logging
import os
import sys
import time
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
from lightning_utilities.core.rank_zero import rank_zero_warn
from omegaconf.errors import OmegaConfBaseException

import semsynth.methods
import semsynth.metrics  # noqa: F401  its classes can be named in YAML
from semsynth.callbacks import (
    Checkpoint,
    Cost,
    Evaluation,
    FiniteLosses,
    ImageLogger,
    Interruption,
    LengthOfRun,
    Position,
    PredictionWriter,
    StepSeed,
    run_directory,
)
from semsynth.callbacks.checkpoint_io import SafeCheckpointIO
from semsynth.callbacks.loggers import RunLabels, build_loggers, keep_log, silence_noise
from semsynth.callbacks.progress import ProgressLine
from semsynth.callbacks.resume import handlers_restored
from semsynth.cli import COMMANDS, preflight
from semsynth.cli.arguments import config_files, experiment_file, less_retired, normalised
from semsynth.cli.messages import Parser, check_files, unwrapped
from semsynth.cli.predict_style import add_style_arguments, read_style
from semsynth.cli.summary import print_header, print_results, show
from semsynth.data import MaskFolder, SynthesisDataModule
from semsynth.errors import UserError, check_numbers, require_writable
from semsynth.files import write_text
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
        for key in ("config", "ckpt_path", "overwrite", "verbose", "run_dir"):
            config.pop(key, None)
        if config.checkpoint.dirpath == str(directory / "checkpoints"):
            config.checkpoint.dirpath = None  # wherever the next run with it is kept
        if config.trainer.default_root_dir == str(directory):
            config.trainer.default_root_dir = None
        write_text(directory / "config.yaml", self.parser.dump(config, skip_none=False))
        space = getattr(trainer.datamodule, "label_space", None)  # type: ignore[attr-defined]
        if space is not None:
            write_text(directory / "classes.json", json.dumps(list(space.names)) + "\n")
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
        return {self.command: LightningCLI.subcommands()[self.command] | {"verbose"}}

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        if subcommand in ("validate", "test"):
            kwargs["verbose"] = self.config[subcommand].verbose  # Lightning's table of scores
        return kwargs

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
            "--verbose",
            type=bool,
            default=False,
            help="Show what Lightning and W&B say; RUN_DIR/log.txt keeps it in any case.",
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
            values = self.config[self.command].as_dict()
        except (UserError, OmegaConfBaseException) as error:
            self._parser(self.command).error(" ".join(str(error).split()))
        check_numbers(values)  # before the seed is used

    def _parse_ckpt_path(self) -> None:
        """Do not rebuild the model from the checkpoint: the run's config.yaml does that."""

    def before_instantiate_classes(self) -> None:
        """Fix the run directory, where checkpoints and logs go."""
        config = self.config[self.command]
        if config.run_dir is None:
            values = yaml.safe_load(self._parser(self.command).dump(config, skip_none=False))
            file = experiment_file(config.get("config") or [])
            config.run_dir = str(run_directory.default_directory(values, file))
        self.run_dir = Path(config.run_dir)
        require_writable(self.run_dir, "--run_dir")
        config.weights_only = True  # nothing in the file is executed
        if config.checkpoint.dirpath is None:
            config.checkpoint.dirpath = str(self.run_dir / "checkpoints")
        if config.trainer.default_root_dir is None:
            config.trainer.default_root_dir = str(self.run_dir)
        silence_noise(config.verbose, training=self.command == "fit")
        checkpoints = Path(config.checkpoint.dirpath)
        if config.ckpt_path == "last":
            found = run_directory.last_checkpoint(self.run_dir, checkpoints.absolute())
            if found is not None or self.command == "fit":
                config.ckpt_path = found and str(found)
            if found is None and self.command == "fit":
                rank_zero_warn(f"No checkpoint in {checkpoints}: starting from scratch.")
            return
        given = config.ckpt_path
        own = checkpoints.absolute(), (self.run_dir / "checkpoints").absolute()
        resumes = given and Path(given).absolute().parent in own
        starts = self.command == "fit" and not (resumes or config.trainer.fast_dev_run)
        if starts and rank_of_process() == 0:
            run_directory.prepare(self.run_dir, config.overwrite, checkpoints)

    def instantiate_classes(self) -> None:
        """Build data, model and trainer; ``--masks`` replace the data of predictions."""
        with unwrapped(), preflight.explained(None):
            super().instantiate_classes()
        if self.command == "predict" and (masks := self.config.predict.masks) is not None:
            if not getattr(self.model, "uses_masks", False):  # nor does a segmenter
                name = type(self.model).__name__
                raise UserError(f"{name} does not generate from masks; leave out --masks.")
            self.datamodule = MaskFolder(masks, self.datamodule)

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback]) -> Trainer:
        for callback in callbacks:
            if self.command != "predict" and isinstance(callback, Evaluation):
                callback.build()  # report missing weights before data are read and the run starts
        preflight.check_trainer(config)
        verbose = self.config[self.command].verbose
        if config["enable_model_summary"] is None:
            config["enable_model_summary"] = verbose
        if config["enable_progress_bar"] is not False and not verbose:
            callbacks = [*callbacks, ProgressLine()]
        choose_strategy(config)
        plugins = config.get("plugins") or []
        plugins = plugins if isinstance(plugins, list | tuple) else [plugins]
        config["plugins"] = [*plugins, SafeCheckpointIO()]
        about = describe_run(self.config[self.command])
        config["logger"] = build_loggers(config["logger"], self.run_dir, self.command, about)
        if self.command == "fit":
            resumption = [Position(), LengthOfRun(), StepSeed(), Interruption()]
            callbacks = [*callbacks, *resumption, Cost(), FiniteLosses()]
        if self.command == "predict":
            options = self.config.predict
            options.output = options.output or str(self.run_dir / "predictions")
            kept = [c for c in callbacks if isinstance(c, Checkpoint | ProgressLine)]
            style = read_style(options.style, self.model, self.datamodule)
            writer = PredictionWriter(options.output, options.num_samples, options.seed, style)
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
            self.trainer.test(self.model, self.datamodule, verbose=config.verbose)

    def _run_subcommand(self, subcommand: str) -> None:
        """Run the command; external failures are reported with a remedy."""
        checkpoint = self.config[subcommand].ckpt_path
        check_checkpoint(checkpoint, type(self.model).__name__)
        if not self.config[subcommand].trainer.fast_dev_run:
            keep_log(self.run_dir / "log.txt")
        print_header(self.model, self.datamodule, self.trainer, self.run_dir)
        started = time.time()
        try:
            with handlers_restored(), preflight.explained(checkpoint):
                super()._run_subcommand(subcommand)
        except Exception as error:
            if (message := preflight.explain_fault(error, self.config[self.command])) is None:
                raise
            raise preflight.FaultError(message) from error
        if subcommand == "predict":
            show(f"images {self.config.predict.output}")
        else:
            print_results(subcommand, self.trainer, self.run_dir, started)


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


def describe_run(config: Any) -> RunLabels:
    """Experiment, method and data of a run, by which W&B groups and filters."""
    names = [config[key].class_path.rsplit(".", 1)[-1] for key in ("model", "data")]
    values = {"model": {"class_path": names[0]}}
    return RunLabels(
        run_directory.experiment_name(values, experiment_file(config.get("config") or [])), names
    )


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


def run(args: list[str]) -> None:
    """Run a command."""
    logging.basicConfig(format="%(message)s")
    silence_noise()
    torch.set_float32_matmul_precision("high")
    try:
        args = normalised(args)
        preflight.require_config(args, config_files(args))
        SemsynthCLI(args[0], args)
    except SIGTERMException:
        sys.exit(143)  # Lightning exits with 0, which a batch system considers success
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # for which Lightning exits with 1
            raise KeyboardInterrupt from end
        raise
    finally:
        wandb.finish()  # else a second run in this process would join the first
