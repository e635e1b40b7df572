"""Where in its epoch a training goes on."""

from lightning import Callback, LightningModule, Trainer


class Position(Callback):
    """Lets a training that goes on read the samples that come next.

    A method that asks in ``configure_optimizers`` how many steps there will be opens the training
    data before the trainer knows where it goes on; their loader would begin the epoch again.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the training data anew; the trainer does that before each epoch if need be."""
        if trainer.ckpt_path is not None:
            trainer.fit_loop._combined_loader = None
