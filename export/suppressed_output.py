"""Keeps the terminal for what the user asked about."""

import contextlib
import logging
import os
import sys
import tempfile
import warnings


@contextlib.contextmanager
def suppressed_output(unless_it_fails=True):
    """Keeps what a converter, TensorFlow or an interpreter chats about away from the terminal.

    Args:
        unless_it_fails: whether it is shown after all if an exception ends the block.
    """
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    sys.stderr.flush()
    with tempfile.TemporaryFile() as heard, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        terminal = os.dup(2)
        os.dup2(heard.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            if unless_it_fails:
                heard.seek(0)
                os.write(terminal, heard.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            logger.setLevel(level)
