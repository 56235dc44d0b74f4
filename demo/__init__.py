"""The embedded default: its generator of Java functions, its model, and the chain that ``--demo`` runs."""

from util.packages import explain_missing_packages

explain_missing_packages()
