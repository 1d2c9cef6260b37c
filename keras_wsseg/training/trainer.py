"""One training from settings to a scored segmenter."""

import dataclasses
import importlib.util
import shutil

import keras

from keras_wsseg import callbacks
from keras_wsseg.layers import crf_preset
from keras_wsseg.training import build
from keras_wsseg.training.batches import training_batches, training_length
from keras_wsseg.training.checkpoint import Checkpoint
from keras_wsseg.training.evaluation import check_groups, evaluate
from keras_wsseg.training.refinement import RefinedSegmenter
from keras_wsseg.training.run_folder import RunFolder


def train(config, folder, resume=False, verbose="auto", progress=None):
    """Trains a segmenter and leaves everything in a run folder.

    All data are read and checked, and all parts built, before anything is written.

    Args:
        config: a `TrainingConfig`; None when resuming takes that of the folder.
        folder: path of the run folder (see `RunFolder`).
        resume: go on where an interrupted training in `folder` stopped.
        verbose: as in `model.fit`.
        progress: wraps the iterable of images that are scored, to show progress.

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
        if config.score_crf is not None:
            refined = RefinedSegmenter(segmenter, crf_preset(config.score_crf, data.value_range))
            refined_scores = evaluate(refined, validation, config.group_by, progress)
            scores = dataclasses.replace(scores, refined=refined_scores)
        run.write_scores(scores)
    return run


def _fit(config, run, data, resume, verbose):
    keras.utils.set_random_seed(config.seed)
    done = run.completed_epochs() if resume else 0
    model, segmenter = build.build_model(config, data, started=not done)
    loss, schedule = build.build_loss(config)
    length = training_length(config, data)
    model.compile(optimizer=build.build_optimizer(config, length.steps, segmenter), loss=loss)
    batches = training_batches(config, data, length, done)
    led = _callbacks(config, run, data, loss, schedule, append=done > 0)
    run.begin(config, data.class_names)
    try:
        model.fit(
            batches,
            steps_per_epoch=length.epoch_steps,
            epochs=length.epochs,
            callbacks=led,
            verbose=verbose,
            shuffle=False,
        )
    except Exception:
        # Some mistakes show in the first step: then there is nothing to go on with.
        if not resume and not run.completed_epochs():
            shutil.rmtree(run.path)
        raise
    run.write_segmenter(segmenter)
    run.drop_backup()
    return segmenter


def _callbacks(config, run, data, loss, schedule, append):
    chosen = [Checkpoint(run.backup)]
    chosen += schedule
    if config.single_class or config.from_tags:
        images = [data.load(index)[0] for index in _spread(len(data), 16)]
        chosen.append(callbacks.CollapseWarning(images, class_names=data.class_names))
    # The log takes its columns from what the callbacks before it have put there.
    chosen.append(keras.callbacks.CSVLogger(run.log, append=append))
    if config.tensorboard:
        chosen.append(keras.callbacks.TensorBoard(run.tensorboard))
    if config.images_every:
        chosen.append(_images(config, run, data))
        if config.single_class and config.stages["config"]["annealing_epochs"]:
            chosen.append(_annealing_images(config, run, data, loss))
    return chosen


def _spread(count, most):
    """At most so many positions, spread evenly over `count`."""
    step = max(1, count // most)
    return range(0, count, step)[:most]


def _images(config, run, data):
    """Images of training progress: on training images, whose weak labels are there to be seen."""
    shown = list(_spread(len(data), 4))
    weak = [data.load(index) for index in shown]
    common = {
        "directory": run.images,
        "class_names": data.class_names,
        "every": config.images_every,
        "tensorboard": run.tensorboard / "images" if config.tensorboard else None,
        "value_range": data.value_range,
    }
    images = [image for image, _ in weak]
    if config.from_tags:
        return callbacks.TagImages(images, data.tags[shown], **common)
    return callbacks.PredictionImages(images, [labels for _, labels in weak], **common)


def _annealing_images(config, run, data, loss):
    """The film of the annealing stage, in some eight columns."""
    epochs = config.stages["config"]["annealing_epochs"]
    return callbacks.AnnealingImages(
        [data.load(index)[0] for index in _spread(len(data), 4)],
        loss.crf,
        run.images / "annealing",
        epochs=epochs,
        every=max(1, epochs // 7),
        value_range=data.value_range,
    )
