import keras


class PerStep(keras.callbacks.Callback):
    """Base of callbacks that set a hyperparameter from the number of training steps.

    The count is initialized from the optimizer's, in batches, so that a resumed training (`BackupAndRestore`,
    or a second `fit`) continues correctly. With `steps_per_execution` above 1 the value changes once per
    execution.
    """

    def __init__(self):
        super().__init__()
        self._offset = None

    def on_epoch_begin(self, epoch, logs=None):
        self._offset = None

    def on_train_batch_begin(self, batch, logs=None):
        if self._offset is None:
            # Read once per epoch: on an accelerator, each read waits for pending steps.
            self.sync()
            self._offset = self._steps_done() - batch
        self.on_step(self._offset + batch)

    def _steps_done(self):
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        # The optimizer counts updates, not the batches accumulated for each of them.
        per_update = getattr(optimizer, "gradient_accumulation_steps", None) or 1
        return int(keras.ops.convert_to_numpy(optimizer.iterations)) * per_update

    def on_step(self, step):
        """Called before each execution with the number of steps done so far."""
        raise NotImplementedError(f"{type(self).__name__} must implement on_step(step).")

    def check_target(self, target, name):
        """Raises ValueError if the model does not train with the parameters of `target`."""
        check_trained(self.model, target, name)

    def sync(self):
        """Updates the variables on JAX, where the trainer holds their values during training."""
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()


def check_trained(model, target, name):
    """Raises ValueError if the model does not train with the parameters of `target`.

    Args:
        model: the model being trained; a plain `keras.Model` is not checked.
        target: a loss or kernel.
        name: its name in the error message.
    """
    trains = getattr(model, "trains", None)
    if trains is not None and not trains(target):
        raise ValueError(
            f"{name} must be the same object that was compiled: after loading a model, take it from "
            f"model.loss. Received: another {type(target).__name__}"
        )
