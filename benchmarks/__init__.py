"""How fast the parts are: one script an area, each beside a peer in the same run. `make bench` runs them all.

What is compared takes its threads by choice. NumPy's BLAS alone reads its number when it loads: it gets one, here,
before any benchmark imports it.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
