"""Measurements of speed and memory, which are not tests: both sides and their ratio from one run."""

from util.packages import explain_missing_packages

explain_missing_packages()
