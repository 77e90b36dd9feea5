"""`python -m loadkit`."""

import sys

from loadkit.cli.main import main

sys.exit(main())
