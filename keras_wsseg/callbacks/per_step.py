import keras


class PerStep(keras.callbacks.Callback):
    """Base of callbacks that set a number from the count of training steps.

    The count starts from the optimizer's own, in batches, so a training that resumes (`BackupAndRestore`, or
    a second `fit`) goes on right. With `steps_per_execution` above 1 the numbers change once an execution.
    """

    def __init__(self):
        super().__init__()
        self._offset = None

    def on_epoch_begin(self, epoch, logs=None):
        self._offset = None

    def on_train_batch_begin(self, batch, logs=None):
        if self._offset is None:
            # Read once an epoch: on an accelerator each reading waits for the steps under way.
            self.sync()
            self._offset = self._steps_done() - batch
        self.on_step(self._offset + batch)

    def _steps_done(self):
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        # The optimizer counts its updates, not the batches that one of them accumulates.
        per_update = getattr(optimizer, "gradient_accumulation_steps", None) or 1
        return int(keras.ops.convert_to_numpy(optimizer.iterations)) * per_update

    def on_step(self, step):
        """Called before each execution with the 0-based count of steps done so far."""
        raise NotImplementedError(f"{type(self).__name__} must implement on_step(step).")

    def check_target(self, target, name):
        """Raises ValueError if the numbers of `target` are not those that the model trains with."""
        check_trained(self.model, target, name)

    def sync(self):
        """Brings the variables up to date where the trainer keeps their values to itself (JAX)."""
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()


def check_trained(model, target, name):
    """Raises ValueError if the numbers of `target` are not those that the model trains with.

    Args:
        model: the model that is fitted; of a plain `keras.Model` nothing is known.
        target: a loss or kernel.
        name: what the error calls it.
    """
    trains = getattr(model, "trains", None)
    if trains is not None and not trains(target):
        raise ValueError(
            f"{name} must be the very object that was compiled: after loading a model, take it from "
            f"model.loss. Received: another {type(target).__name__}"
        )
