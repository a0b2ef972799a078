"""`python -m goosectl`: the same as the command `goosectl`."""

import sys

from goosectl.main import main

sys.exit(main())
