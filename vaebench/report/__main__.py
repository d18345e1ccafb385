"""`python -m vaebench.report`."""
import sys

from vaebench.report.cli import main

sys.exit(main())
