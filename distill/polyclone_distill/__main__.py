"""`python -m polyclone_distill`: what launchers of several processes need."""

from __future__ import annotations

import sys

from .cli import main

sys.exit(main())
