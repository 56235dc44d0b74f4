"""Training a transcoder on layers of a Hugging Face model."""

import os

from util.packages import explain_missing_packages

explain_missing_packages()

# Read when torch first takes memory. With huge pages a training step on a CPU spends 6 % instead of 20 % of its time on page faults.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
