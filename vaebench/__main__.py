"""`python -m vaebench` is the command `vaebench`."""
import sys

from vaebench.cli import main

sys.exit(main())
