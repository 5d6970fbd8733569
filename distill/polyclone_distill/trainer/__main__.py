"""`python -m trainer DATA OUT`."""

import sys

from .run import main

sys.exit(main())
