"""While tests run, the shapes and types in the project's signatures are checked at every call."""

import os

from jaxtyping import install_import_hook

import tests.typecheck  # noqa: F401 - the hook finds it by its name

# Before torch is imported. Matrices this small are slower on several threads, which wait for each other on a busy machine.
os.environ["OMP_NUM_THREADS"] = "1"

# The rooms whose signatures have shapes.
ROOMS = ["huggingface", "open_cross_layer_transcoder", "sae_training", "tcpe", "transcoder_circuits", "util"]
install_import_hook(ROOMS, "tests.typecheck.checked")

from tests.browser import browser, open_page  # noqa: E402, F401 - fixtures of all rooms' pages; what they import is checked too
