"""What a keeper runs: ``python -m accrual.lab FILE MODULE LAB PARAMETERS``."""

import json
import sys

from accrual.lab.running import run_kept

if __name__ == "__main__":
    run_kept(int(sys.argv[1]), sys.argv[2], sys.argv[3], json.loads(sys.argv[4]))
