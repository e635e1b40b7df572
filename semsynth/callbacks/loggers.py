"""Loggers of a run: CSV always, W&B online or offline."""

import logging
import netrc
import os
import secrets
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from lightning_utilities.core.rank_zero import rank_zero_only

from semsynth.files import write_text

log = logging.getLogger(__name__)
WARNINGS = logging.getLogger("semsynth.warnings")  # for the log file alone
WARNINGS.propagate = False
WARNINGS.addHandler(logging.NullHandler())

RESUMES_OFFLINE = (0, 31)
"""Version of W&B whose ``sync`` joins the parts of a run that was resumed offline."""
LIGHTNING = ("lightning.pytorch", "lightning.fabric")
NOISE = (
    ".*isinstance.treespec, LeafSpec.*",
    ".*is smaller than the logging interval.*",
    "Found .* module.* in eval mode at the start of training.*",  # frozen networks
    ".*does not have many workers.*",
    ".*your dataloader is not resumable.*",  # our samplers are
    "`torch.jit.load` is deprecated",
    "You defined a `validation_step` but have no `val_dataloader`.*",  # trained on shots alone
    ".*recommended to use .self.log.*sync_dist=True.*",  # metrics have synchronised by then
    ".*Trainer already configured with model summary callbacks.*",
    "Checkpoint directory .* exists and is not empty.*",  # of a resumed run; others are refused
)
OF_TRAINING = ".*callbacks used to create the checkpoint need to be provided.*"  # as for Cost


@dataclass(frozen=True)
class RunLabels:
    """What W&B groups and filters runs by."""

    group: str  # name of the experiment; ``WANDB_RUN_GROUP`` has precedence
    tags: list[str]  # names of the method and the data; those of ``WANDB_TAGS`` are added


def build_loggers(chosen: Any, run_dir: Path, command: str, labels: RunLabels) -> list[Logger]:
    """CSV always, and W&B unless ``trainer.logger`` is False or chooses other loggers."""
    attempts = len(list(run_dir.glob(f"logs/{command}*")))
    name = command if attempts == 0 else f"{command}-{attempts + 1}"
    csv = CSVLogger(run_dir, name="logs", version=name)
    if chosen is False or command == "predict":
        return [csv]
    if chosen not in (None, True):
        return [csv, *(chosen if isinstance(chosen, list) else [chosen])]
    return [csv, build_wandb_logger(run_dir, command, labels, attempts + 1)]


def build_wandb_logger(run_dir: Path, command: str, labels: RunLabels, segment: int) -> WandbLogger:
    """W&B logger, offline with a message if neither a key nor a mode is set.

    A resumed training continues its run. Older versions of W&B cannot do so offline: there it is a
    separate run with the same group and name and the tag ``segment-2``; its steps continue.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    if "WANDB_MODE" not in os.environ and not has_wandb_key():
        os.environ["WANDB_MODE"] = "offline"
        rank_zero_only(log.warning)(
            f"No W&B key: logging offline in {run_dir / 'wandb'}; upload with `wandb sync`, or log "
            "in with `wandb login`."
        )
    offline = os.environ.get("WANDB_MODE") == "offline"
    version = tuple(int(part) for part in wandb.__version__.split(".")[:2])
    joins = command == "fit" and (not offline or version >= RESUMES_OFFLINE)
    own_tags = [tag for tag in os.environ.get("WANDB_TAGS", "").split(",") if tag]
    logger = WandbLogger(
        name="/".join(run_dir.parts[-3:]),
        save_dir=run_dir,
        project=os.environ.get("WANDB_PROJECT", "semsynth"),
        offline=offline,
        version=run_id(run_dir / "logs" / "wandb_run.txt") if joins else None,
        group=os.environ.get("WANDB_RUN_GROUP", labels.group),
        job_type=os.environ.get("WANDB_JOB_TYPE", command),
        tags=[
            *labels.tags,
            *own_tags,
            *([f"segment-{segment}"] if segment > 1 and not joins else []),
        ],
    )
    logger._wandb_init.pop("anonymous", None)  # W&B warns of it, and Lightning always sets it
    return logger


@rank_zero_only
def run_id(file: Path) -> str | None:
    """W&B's identifier of the training in a run directory, kept in a file; None if W&B knows it."""
    if "WANDB_RUN_ID" in os.environ:
        return None
    if not file.is_file():
        write_text(file, secrets.token_hex(4) + "\n")
    return file.read_text().strip()


def has_wandb_key() -> bool:
    """Whether W&B can log in without asking."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    file = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    try:
        return file.is_file() and netrc.netrc(file).authenticators("api.wandb.ai") is not None
    except (netrc.NetrcParseError, OSError):
        return False


def silence_noise(verbose: bool = False, training: bool = True) -> None:
    """Hide what libraries say and a user can do nothing about; warnings are one line.

    Args:
        verbose: Show what Lightning and W&B say about themselves.
        training: Whether a checkpoint is to be resumed with the callbacks of its training.
    """
    for message in NOISE if training else (*NOISE, OF_TRAINING):
        warnings.filterwarnings("ignore", message)
    rank_zero = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    rank_zero.addFilter(lambda record: "litlogger" not in record.getMessage())
    if verbose:
        return
    os.environ.setdefault("WANDB_SILENT", "true")
    warnings.formatwarning = one_line
    for name in LIGHTNING:
        for handler in logging.getLogger(name).handlers:
            handler.setLevel(logging.WARNING)


def one_line(message: Warning | str, *_: Any, **__: Any) -> str:
    """A warning without the line of code that it came from; the log file keeps it too."""
    WARNINGS.warning("%s", message)
    return f"{message}\n"


@rank_zero_only
def keep_log(file: Path) -> None:
    """Append all that this process says, and what is not shown, to a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    for name in (*LIGHTNING, "semsynth", WARNINGS.name):
        logger = logging.getLogger(name)
        for old in logger.handlers:
            if isinstance(old, logging.FileHandler):
                logger.removeHandler(old)
                old.close()
        logger.addHandler(handler)
