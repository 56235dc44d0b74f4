"""Java to D by rules: the reference "model" of KECode, which is right wherever its rules are switched on."""

from d_running.java_to_d.translator import RULES, check_rules, translate_java

__all__ = ["RULES", "check_rules", "translate_java"]
