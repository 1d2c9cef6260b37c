"""Films for tests: each frame has a brightness of its own, so that it tells its number."""

import numpy as np


def write_film(path, codec="mpeg4", frames=12, size=(48, 64), **options):
    """Writes a film whose frame n is of the brightness `brightness(n)`."""
    import av

    grain = np.random.default_rng(0).integers(-20, 21, (*size, 3))
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(frames):
            values = brightness(number) + np.roll(grain, number, 1)
            frame = av.VideoFrame.from_ndarray(values.astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def brightness(number):
    """Of frame `number`; neighbors are 15 apart."""
    return 30 + 15 * (number % 13)


def cut_off(path, share=0.6):
    """Leaves the beginning of a file."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    return path
