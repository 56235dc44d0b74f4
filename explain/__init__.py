"""Pages that explain an edit; they only read what runs have left."""

from util.packages import explain_missing_packages

explain_missing_packages()
