"""`keras-wsseg demo`."""

from keras_wsseg.cli import console
from keras_wsseg.cli.options import add_command

_DESCRIPTION = """
Shows the whole way on small images that it makes itself: trains on scribbles without and with the gated
CRF, exports the second to ONNX and runs it there. It needs nothing, downloads nothing, and takes about three
minutes on two CPU cores.
"""


def add_to(commands):
    """Adds the command."""
    parser = add_command(
        commands, "demo", "see it all on images made here", _DESCRIPTION, "keras-wsseg demo --out demo"
    )
    parser.add_argument("--out", default="demo", metavar="DIR", help="folder for everything (default: demo)")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of images and training (default: 0)"
    )
    parser.set_defaults(run=run)


def run(arguments):
    """Runs the demo."""
    from keras_wsseg.cli.demo import Demo

    if arguments.seed < 0:
        raise ValueError(f"--seed must be at least 0. Received: {arguments.seed}")
    demo = Demo(arguments.out, arguments.seed)
    demo.make_room()
    console.load_keras()
    demo.run()
