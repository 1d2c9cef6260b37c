"""Suppresses the output of converters on the terminal."""

import contextlib
import logging
import os
import sys
import tempfile
import warnings


@contextlib.contextmanager
def suppressed_output(unless_it_fails=True):
    """Suppresses what a converter, TensorFlow or an interpreter writes to standard error.

    Args:
        unless_it_fails: whether to show it anyway if the block raises an exception.
    """
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    sys.stderr.flush()
    with tempfile.TemporaryFile() as captured, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        terminal = os.dup(2)
        os.dup2(captured.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            if unless_it_fails:
                captured.seek(0)
                os.write(terminal, captured.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            logger.setLevel(level)
