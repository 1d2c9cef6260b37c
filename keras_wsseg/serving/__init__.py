"""An exported segmenter as a small HTTP service: images in, masks out, within limits.

It runs where segmenters run, so it imports neither Keras nor TensorFlow; `keras-wsseg serve` starts it.
"""
