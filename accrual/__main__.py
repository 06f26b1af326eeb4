"""``python -m accrual`` is the `accrual` command."""

import sys

from accrual.cli import main

if __name__ == "__main__":
    sys.exit(main())
