"""An exported segmenter as a small HTTP service: pictures in, masks out, within limits.

It runs where segmenters run, so it imports neither Keras nor TensorFlow; `keras-wsseg serve` starts it.
"""
