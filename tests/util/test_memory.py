"""The peak counts this process's memory and its children's."""

import subprocess
import sys
import time

from util.memory import PeakMemory


def test_counts_children() -> None:
    with PeakMemory() as memory:
        time.sleep(0.3)
        alone = memory.mebibytes
        subprocess.run([sys.executable, "-c", "x = b'1' * (300 << 20); import time; time.sleep(0.5)"], check=True)
    assert alone > 5
    assert memory.mebibytes > alone + 280
