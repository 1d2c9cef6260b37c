"""Serves an exported segmenter over HTTP, with bounded resources: images in, masks out.

It imports neither Keras nor TensorFlow, which a deployment may lack; `keras-wsseg serve` starts it.
"""
