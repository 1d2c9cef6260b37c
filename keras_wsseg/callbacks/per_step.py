import keras


class PerStep(keras.callbacks.Callback):
    """Base of callbacks that set a number from the count of training steps.

    The count continues where the optimizer's own does, so a training that resumes (`BackupAndRestore`, or a
    second `fit`) goes on right. With `steps_per_execution` above 1 the numbers change once an execution.
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
            self._offset = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations)) - batch
        self.on_step(self._offset + batch)

    def on_step(self, step):
        """Called before each execution with the 0-based count of steps done so far."""
        raise NotImplementedError(f"{type(self).__name__} must implement on_step(step).")

    def sync(self):
        """Brings the variables up to date where the trainer keeps their values to itself (JAX)."""
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
