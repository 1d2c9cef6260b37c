"""`python -m keras_wsseg.cli` is `keras-wsseg`."""

import sys

from keras_wsseg.cli.main import main

sys.exit(main())
