"""`python -m unetseg.cli`, which torchrun and job scripts start."""

import sys

from .main import main

sys.exit(main())
