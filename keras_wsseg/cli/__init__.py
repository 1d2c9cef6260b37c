"""The command `keras-wsseg`: train, evaluate, predict, export, sweep, demo."""
