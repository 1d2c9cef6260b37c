"""Checkpoints that an interruption at any moment leaves whole."""

import json
import pathlib

import keras

from keras_wsseg.training.run_folder import write_text


class Checkpoint(keras.callbacks.BackupAndRestore):
    """Keras' own, but for how it writes: what lies there counts once all of it does.

    Keras writes the new weights over the old ones and the number of the epoch after them. Ctrl-C in between
    leaves a file that opens and holds half of the weights, or weights of another epoch than is said. Here
    each epoch has a file of its own, which is read only when the note that names it is written.

    Args:
        folder: where the weights and the note lie.

    Raises:
        ValueError: when training begins, if the weights that the note names are not there.

    Example:
        >>> import tempfile
        >>> Checkpoint(tempfile.mkdtemp()).save_freq
        'epoch'
    """

    def __init__(self, folder):
        super().__init__(backup_dir=str(folder), double_checkpoint=False, delete_checkpoint=False)
        self._note = pathlib.Path(self._training_metadata_path)

    def on_train_begin(self, logs=None):
        if self._note.is_file():
            weights = self._note.with_name(
                json.loads(self._note.read_text(encoding="utf-8")).get("weights", "none")
            )
            if not weights.is_file():
                raise ValueError(
                    f"The checkpoint in {str(weights.parent)!r} is damaged: remove that folder to train anew."
                )
            self._weights_path = str(weights)
            super().on_train_begin(logs)

    def _save_model(self):
        self._note.parent.mkdir(parents=True, exist_ok=True)
        weights = self._note.with_name(f"epoch_{self._current_epoch:06d}.weights.h5")
        self.model.save_weights(weights, overwrite=True)
        note = {"epoch": self._current_epoch, "batch": self._last_batch_seen, "weights": weights.name}
        write_text(self._note, json.dumps(note))
        for other in self._note.parent.glob("*.weights.h5"):
            if other != weights:
                other.unlink()
