"""`python -m inversion.parity DIR`, the same as `python -m inversion parity DIR`."""

import sys

from inversion.parity import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
