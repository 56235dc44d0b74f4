"""Where the embedded default lies, and the settings of its edits, all chosen on the validation functions."""

from pathlib import Path

DATA = Path(__file__).parent.parent / "data" / "demo"
LAYER = 4
"""The layer that is edited, of 0 to 5; its MLP has the transcoder."""
