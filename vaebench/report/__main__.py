"""`python -m vaebench.report`."""
import sys

from vaebench.report import main

sys.exit(main())
