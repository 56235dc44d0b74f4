"""What joins the rooms, and nothing else: a run from its configuration to its metrics."""

from util.packages import explain_missing_packages

explain_missing_packages()
