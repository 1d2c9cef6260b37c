"""Frames out of video files."""

import numpy as np

VIDEOS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv")
# Seconds by which the frames of a whole file may fall short of the length that it tells.
_SLACK = 0.5


def count_frames(path):
    """How many frames a video tells that it has, 1 where it does not tell or cannot be read."""
    try:
        with _open(path) as container:
            stream = container.streams.video[0]
            seconds = _declared_seconds(stream) or 0
            return max(1, stream.frames or round(seconds * float(stream.average_rate or 0)))
    except Exception:
        # Whoever reads the frames will be told what is wrong; this here is for a progress bar.
        return 1


def read_frames(path, every=1):
    """Decodes a video from its beginning to its end, leaving out frames with faults.

    PyAV decodes because it tells damage from the end of a file, which OpenCV does not. A transport stream
    (.mts, .mpg) tells no length, so that one that was cut off between frames is as good as a shorter one.

    Args:
        path: the file.
        every: 1 for all frames, n for each n-th.

    Yields:
        `(number, frame)`: numbers from 0, frames uint8 `(height, width, 3)`, turned as players show them.

    Raises:
        ImportError: if PyAV is not installed.
        ValueError: if it is no video; after the last frame, if some were damaged or missing.
    """
    whole = 0
    end = 0.0
    damage = []
    with _open(path) as container:
        stream = container.streams.video[0]
        for number, frame in enumerate(_decode(container, stream, damage)):
            if frame is None:
                continue
            whole += 1
            end = max(end, (frame.time or 0) + float((frame.duration or 0) * (frame.time_base or 0)))
            if number % every == 0:
                yield number, upright(frame.to_ndarray(format="rgb24"), frame.rotation)
        told = _declared_seconds(stream) if stream.duration is None else None
    if told is not None and end < told - _SLACK:
        damage.append(f"an end at {end:.1f} of {told:.1f} seconds")
    if damage or not whole:
        raise ValueError(
            f"The video {str(path)!r} is damaged or cut off, with {whole} whole frames. "
            f"Received: {damage[0] if damage else 'no frame'}"
        )


def upright(frame, degrees):
    """A frame turned counterclockwise by quarters, as a phone notes that it was held.

    Args:
        frame: `(height, width, 3)`.
        degrees: a multiple of 90; others are left to whoever edits films.

    Returns:
        The turned frame.
    """
    quarters, rest = divmod(degrees, 90)
    return np.ascontiguousarray(np.rot90(frame, quarters)) if quarters % 4 and not rest else frame


def _open(path):
    try:
        import av
    except ImportError as error:
        raise ImportError("Reading a video needs PyAV: pip install 'keras-wsseg[video]'") from error
    try:
        # Without a scheme, a colon in the name would end one.
        container = av.open(f"file:{path}")
    except (av.error.FFmpegError, OSError) as error:
        raise ValueError(f"The video {str(path)!r} cannot be read. Received: {_words(error)}") from error
    if not container.streams.video:
        container.close()
        raise ValueError(f"The video {str(path)!r} must hold images. Received: no such stream")
    return container


def _decode(container, stream, damage):
    """The frames, None for one that is damaged or lost; what is wrong is put into `damage`."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                break
        except av.error.FFmpegError as error:
            damage.append(_words(error))
            break
        try:
            frames = _whole(packet).decode()
        except (av.error.FFmpegError, ValueError) as error:
            damage.append(_words(error))
            yield None
            continue
        for frame in frames:
            if frame.is_corrupt:
                damage.append("a frame with faults")
            yield None if frame.is_corrupt else frame


def _whole(packet):
    if packet.is_corrupt:
        raise ValueError("a packet with faults")
    return packet


def _declared_seconds(stream):
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    # Matroska and WebM tell the length of each stream as a text.
    parts = stream.metadata.get("DURATION", "").split(":")
    try:
        hours, minutes, seconds = map(float, parts)
    except ValueError:
        return None
    return 3600 * hours + 60 * minutes + seconds


def _words(error):
    return getattr(error, "strerror", None) or str(error)
