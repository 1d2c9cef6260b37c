"""One training from settings to a scored segmenter."""

import keras

from keras_wsseg import callbacks
from keras_wsseg.models import WeaklySupervisedModel
from keras_wsseg.training import build
from keras_wsseg.training.evaluation import evaluate
from keras_wsseg.training.run_folder import RunFolder


def train(config, folder, resume=False, verbose="auto", progress=None):
    """Trains a segmenter and leaves everything in a run folder.

    All data are read and checked before the first step.

    Args:
        config: a `TrainingConfig`; None when resuming takes that of the folder.
        folder: path of the run folder (see `RunFolder`).
        resume: go on where an interrupted training in `folder` stopped.
        verbose: as in `model.fit`.
        progress: wraps the iterable of pictures that are scored, to show progress.

    Returns:
        The `RunFolder`, with `segmenter.keras` and, where there are dense labels to score on, `scores.json`.

    Raises:
        FileExistsError, FileNotFoundError, ValueError: see `RunFolder.open`; and `ValueError` for wrong data.
    """
    run = RunFolder(folder)
    if resume:
        config = run.open(config, resume=True)
        if run.finished:
            return run
    data = build.build_training_data(config)
    validation = build.build_validation_data(config, data)
    if not resume:
        run.open(config, resume=False)

    keras.utils.set_random_seed(config.seed)
    segmenter = build.build_segmenter(config, data)
    model = WeaklySupervisedModel(segmenter, value_range=data.value_range)
    loss, crf = build.build_loss(config)
    model.compile(optimizer=build.build_optimizer(config), loss=loss)

    epoch_steps = min(config.epoch_steps, config.steps)
    data_epoch = -(-len(data) // config.batch_size)
    done = run.completed_epochs() if resume else 0
    batches = data.train(
        config.batch_size,
        config.crop,
        scale=(config.scale_low, config.scale_high),
        seed=config.seed,
        repeat=True,
        first_epoch=done * epoch_steps // data_epoch,
    )
    model.fit(
        batches,
        steps_per_epoch=epoch_steps,
        epochs=-(-config.steps // epoch_steps),
        callbacks=_callbacks(config, run, data, crf, append=done > 0),
        verbose=verbose,
        shuffle=False,
    )
    if validation is not None:
        run.write_scores(evaluate(segmenter, validation, config.group_by, progress))
    run.write_segmenter(segmenter)
    return run


def _callbacks(config, run, data, crf, append):
    chosen = [
        keras.callbacks.BackupAndRestore(run.backup),
        keras.callbacks.CSVLogger(run.log, append=append),
    ]
    if crf is not None and (config.warm_up or config.ramp):
        chosen.append(callbacks.WarmUp(crf, config.warm_up, config.ramp))
    if config.tensorboard:
        chosen.append(keras.callbacks.TensorBoard(run.tensorboard))
    if config.picture_every:
        chosen.append(_pictures(config, run, data))
    return chosen


def _pictures(config, run, data):
    """Pictures of training progress: on training pictures, whose weak labels are there to be seen."""
    step = max(1, len(data) // 4)
    weak = [data.load(index) for index in range(0, len(data), step)][:4]
    return callbacks.PredictionPictures(
        [picture for picture, _ in weak],
        [labels for _, labels in weak],
        run.pictures,
        class_names=data.class_names,
        every=config.picture_every,
        tensorboard=run.tensorboard / "pictures" if config.tensorboard else None,
        value_range=data.value_range,
    )
