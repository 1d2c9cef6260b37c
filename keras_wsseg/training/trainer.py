"""One training from settings to a scored segmenter."""

import dataclasses
import importlib.util

import keras

from keras_wsseg import callbacks
from keras_wsseg.models import WeaklySupervisedModel
from keras_wsseg.training import build
from keras_wsseg.training.evaluation import check_groups, evaluate
from keras_wsseg.training.refinement import RefinedSegmenter, build_crf
from keras_wsseg.training.run_folder import RunFolder


def train(config, folder, resume=False, verbose="auto", progress=None):
    """Trains a segmenter and leaves everything in a run folder.

    All data are read and checked, and all parts built, before anything is written.

    Args:
        config: a `TrainingConfig`; None when resuming takes that of the folder.
        folder: path of the run folder (see `RunFolder`).
        resume: go on where an interrupted training in `folder` stopped.
        verbose: as in `model.fit`.
        progress: wraps the iterable of pictures that are scored, to show progress.

    Returns:
        The `RunFolder`, with `segmenter.keras` and, where there are dense labels to score on, `scores.json`.

    Raises:
        FileExistsError, FileNotFoundError, ValueError: see `RunFolder.settings`; and for wrong data.
        ImportError: if logs for TensorBoard are asked for and it is not installed.
    """
    run = RunFolder(folder)
    config = run.settings(config, resume)
    if resume and run.finished:
        return run
    if config.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ImportError("Logs for TensorBoard need it: pip install tensorboard. Received: tensorboard=True")
    data = build.build_training_data(config)
    validation = build.build_validation_data(config, data)
    if validation is not None:
        check_groups(config.group_by, validation.names)

    if run.segmenter.is_file():
        segmenter = keras.saving.load_model(run.segmenter, compile=False)
    else:
        segmenter = _fit(config, run, data, resume, verbose)
    if validation is not None:
        scores = evaluate(segmenter, validation, config.group_by, progress)
        if config.score_crf != "none":
            refined = RefinedSegmenter(segmenter, build_crf(config.score_crf, data.value_range))
            refined_scores = evaluate(refined, validation, config.group_by, progress)
            scores = dataclasses.replace(scores, refined=refined_scores)
        run.write_scores(scores)
    return run


def _fit(config, run, data, resume, verbose):
    keras.utils.set_random_seed(config.seed)
    segmenter = build.build_segmenter(config, data)
    model = WeaklySupervisedModel(segmenter, value_range=data.value_range)
    loss, crf = build.build_loss(config)
    model.compile(optimizer=build.build_optimizer(config), loss=loss)
    # Epochs of one length, so that the last step is the one at which the learning rate arrives at 0.
    epochs = -(-config.steps // config.epoch_steps)
    epoch_steps = -(-config.steps // epochs)
    unlabelled_batch = None if data.unlabelled is None else config.unlabelled_batch
    data_epoch = data.steps_per_epoch(config.batch_size, unlabelled_batch)
    done = run.completed_epochs() if resume else 0
    batches = data.train(
        config.batch_size,
        config.crop,
        scale=(config.scale_low, config.scale_high),
        flip=config.flip,
        seed=config.seed,
        repeat=True,
        first_epoch=done * epoch_steps // data_epoch,
        unlabelled_batch=unlabelled_batch,
    )
    run.begin(config, data.class_names)
    model.fit(
        batches,
        steps_per_epoch=epoch_steps,
        epochs=epochs,
        callbacks=_callbacks(config, run, data, crf, append=done > 0),
        verbose=verbose,
        shuffle=False,
    )
    run.write_segmenter(segmenter)
    run.drop_backup()
    return segmenter


def _callbacks(config, run, data, crf, append):
    chosen = [
        # An interruption while a checkpoint is written leaves the one before it.
        keras.callbacks.BackupAndRestore(run.backup, double_checkpoint=True, delete_checkpoint=False),
        keras.callbacks.CSVLogger(run.log, append=append),
    ]
    if crf is not None and (config.warm_up_steps or config.ramp_steps):
        chosen.append(callbacks.WarmUp(crf, config.warm_up_steps, config.ramp_steps))
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
