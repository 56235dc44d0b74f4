"""The real small model: SmolLM2 as a translator of Java to D and as a store of facts, edited."""

from util.packages import explain_missing_packages

explain_missing_packages()
