"""Measurements of speed and memory, which are not tests: both sides and their ratio from one run."""
