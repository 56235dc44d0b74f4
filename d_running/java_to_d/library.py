"""What the methods of Java's library are in D, as templates.

In a template ``{0}`` is the owner and ``{1}``, ``{2}``, … are the arguments; ``{0.owner}`` and so on put parentheses where they are
needed (see `Expression`). The names in a template decide what is imported or appended (`runtime`).
"""

from typing import NamedTuple

from d_running.java_to_d.types import BUILDERS, LISTS, MAPS, SETS, JavaType


class Method(NamedTuple):
    """A Java method's D.

    Attributes:
        d: template of the expression.
        result: Java type of the result: a name with brackets, "E" or "K" for the owner's element or key, "=" for the owner's type,
            "1" for the first argument's; with "[]" behind it an array of that.
        statement: template where the result is not used, if that is shorter.
        condition: template where only its truth matters, if that is shorter.
    """

    d: str
    result: str
    statement: str | None = None
    condition: str | None = None


Methods = dict[tuple[str, int], Method]
"""Methods by name and number of arguments."""


def _methods(*rows: tuple[str, int, str, str, *tuple[str | None, ...]]) -> Methods:
    """Rows of names, number of arguments, and what `Method` holds."""
    return {(name, count): Method(d, result, *others) for names, count, d, result, *others in rows for name in names.split()}


STRING = _methods(
    ("charAt", 1, "{0.owner}[{1}]", "char"),
    ("length", 0, "{0.owner}.length", "length"),
    ("isEmpty", 0, "{0.owner}.length == 0", "boolean"),
    ("isBlank", 0, "{0.owner}.strip.length == 0", "boolean"),
    ("substring", 1, "{0.owner}[{1} .. $]", "="),
    ("substring subSequence", 2, "{0.owner}[{1} .. {2}]", "="),
    ("equals contentEquals", 1, "{0.operand} == {1.operand}", "boolean"),
    ("equalsIgnoreCase", 1, "toLower({0}) == toLower({1})", "boolean"),
    ("compareTo", 1, "compareTo({0}, {1})", "int"),
    ("compareToIgnoreCase", 1, "compareTo(toLower({0}), toLower({1}))", "int"),
    ("indexOf", 1, "cast(int) {0.owner}.indexOf({1})", "int"),
    ("indexOf", 2, "cast(int) {0.owner}.indexOf({1}, {2})", "int"),
    ("lastIndexOf", 1, "cast(int) {0.owner}.lastIndexOf({1})", "int"),
    ("contains", 1, "{0.owner}.canFind({1})", "boolean"),
    ("startsWith", 1, "{0.owner}.startsWith({1})", "boolean"),
    ("startsWith", 2, "{0.owner}[{2} .. $].startsWith({1})", "boolean"),
    ("endsWith", 1, "{0.owner}.endsWith({1})", "boolean"),
    ("toLowerCase", 0, "toLower({0})", "="),
    ("toUpperCase", 0, "toUpper({0})", "="),
    ("trim strip", 0, "{0.owner}.strip", "="),
    ("concat", 1, "{0.operand} ~ {1.operand}", "="),
    ("replace", 2, "{0.owner}.replace({1.string}, {2.string})", "="),
    ("replaceAll", 2, "replaceAll({0}, regex({1}), {2})", "="),
    ("replaceFirst", 2, "replaceFirst({0}, regex({1}), {2})", "="),
    ("matches", 1, 'matchFirst({0}, regex("^(?:" ~ {1.operand} ~ ")$")).length > 0', "boolean"),
    ("split", 1, "splitBy({0}, {1})", "String[]"),
    ("repeat", 1, "{0.owner}.replicate({1})", "="),
    ("toCharArray", 0, "{0.owner}.dup", "char[]"),
    ("toString intern", 0, "{0}", "="),
)
BUILDER = _methods(
    ("append", 1, "{0.owner} ~= {1}", "="),
    ("insert", 2, "{0.owner}.insertInPlace({1}, {2})", "="),
    ("reverse", 0, "{0.owner}.reverse()", "="),
    ("toString", 0, "{0.owner}.idup", "String"),
    ("charAt", 1, "{0.owner}[{1}]", "char"),
    ("setCharAt", 2, "{0.owner}[{1}] = {2}", "void"),
    ("deleteCharAt", 1, "removeAt({0}, {1})", "="),
    ("delete", 2, "{0} = {0.owner}[0 .. {1}] ~ {0.owner}[min({2}, $) .. $]", "="),
    ("setLength", 1, "{0.owner}.length = {1}", "void"),
    ("length", 0, "{0.owner}.length", "length"),
    ("isEmpty", 0, "{0.owner}.length == 0", "boolean"),
    ("indexOf", 1, "cast(int) {0.owner}.indexOf({1})", "int"),
    ("substring", 1, "{0.owner}[{1} .. $].idup", "String"),
    ("substring", 2, "{0.owner}[{1} .. {2}].idup", "String"),
)
LIST = _methods(
    ("add addLast addElement offer offerLast", 1, "{0.owner} ~= {1}", "boolean"),
    ("add insertElementAt", 2, "{0.owner}.insertInPlace({1}, {2})", "void"),
    ("addFirst offerFirst", 1, "{0} = {1.operand} ~ {0.operand}", "void"),
    ("addAll", 1, "{0.owner} ~= {1.items}", "boolean"),
    ("get elementAt", 1, "{0.owner}[{1}]", "E"),
    ("set", 2, "{0.owner}[{1}] = {2}", "E"),
    ("size", 0, "{0.owner}.length", "length"),
    ("isEmpty empty", 0, "{0.owner}.length == 0", "boolean"),
    ("contains", 1, "{0.owner}.canFind({1})", "boolean"),
    ("indexOf", 1, "cast(int) {0.owner}.countUntil({1})", "int"),
    ("clear removeAllElements", 0, "{0} = null", "void"),
    ("peekFirst getFirst element firstElement", 0, "{0.owner}[0]", "E"),
    ("peekLast getLast lastElement", 0, "{0.owner}[$ - 1]", "E"),
    ("poll pollFirst removeFirst", 0, "poll({0})", "E", "{0} = {0.owner}[1 .. $]"),
    ("pollLast removeLast", 0, "pop({0})", "E", "{0} = {0.owner}[0 .. $ - 1]"),
    ("subList", 2, "{0.owner}[{1} .. {2}]", "="),
    ("equals", 1, "{0.operand} == {1.operand}", "boolean"),
    ("toArray", 0, "{0.owner}.dup", "E[]"),
    ("toArray", 1, "{0.owner}.dup", "E[]"),
    ("iterator", 0, "{0.owner}.dup", "="),
    ("hasNext", 0, "{0.owner}.length != 0", "boolean"),
    ("next", 0, "poll({0})", "E"),
    ("toString", 0, "textOf({0})", "String"),
)
_POP, _POLL, _LAST, _FIRST = LIST["pollLast", 0], LIST["poll", 0], LIST["peekLast", 0], LIST["peekFirst", 0]
AT_THE_END = {("push", 1): LIST["add", 1], ("pop", 0): _POP, ("peek", 0): _LAST}
"""What differs for a Stack."""
AT_THE_START = {("push", 1): LIST["addFirst", 1], ("pop", 0): _POLL, ("peek", 0): _FIRST, ("remove", 0): _POLL}
"""What differs for queues."""
PRIORITY_QUEUE = _methods(
    ("add offer", 1, "{0.owner}.add({1})", "boolean"),
    ("poll remove", 0, "{0.owner}.poll()", "E"),
    ("peek element", 0, "{0.owner}.peek()", "E"),
    ("size", 0, "{0.owner}.length", "length"),
    ("isEmpty", 0, "{0.owner}.length == 0", "boolean"),
    ("clear", 0, "{0.owner}.clear()", "void"),
    ("contains", 1, "{0.owner}.heap.canFind({1})", "boolean"),
)
_OF_KEYS = (
    ("size", 0, "{0.owner}.length", "length"),
    ("isEmpty", 0, "{0.owner}.length == 0", "boolean"),
    ("clear", 0, "{0.owner}.clear()", "void"),
    ("first firstKey", 0, "{0.owner}.keys.minElement", "K"),
    ("last lastKey", 0, "{0.owner}.keys.maxElement", "K"),
    ("floor floorKey", 1, "{0.owner}.keys.filter!(key => key <= {1.operand}).maxElement", "K"),
    ("lower lowerKey", 1, "{0.owner}.keys.filter!(key => key < {1.operand}).maxElement", "K"),
    ("ceiling ceilingKey", 1, "{0.owner}.keys.filter!(key => key >= {1.operand}).minElement", "K"),
    ("higher higherKey", 1, "{0.owner}.keys.filter!(key => key > {1.operand}).minElement", "K"),
)
SET = _methods(
    *_OF_KEYS,
    ("add", 1, "insertInto({0}, {1})", "boolean", "{0.owner}[{1}] = true"),
    ("addAll", 1, "{1.items}.each!(item => {0.owner}[item] = true)", "void"),
    ("contains", 1, "({1.operand} in {0.operand}) !is null", "boolean", None, "{1.operand} in {0.operand}"),
    ("remove", 1, "{0.owner}.remove({1})", "boolean"),
    ("toArray", 0, "{0.owner}.keys", "K[]"),
    ("toArray", 1, "{0.owner}.keys", "K[]"),
    ("iterator", 0, "{0.owner}.keys", "K[]"),
    ("toString", 0, "textOf({0.owner}.keys)", "String"),
)
MAP = _methods(
    *_OF_KEYS,
    ("put", 2, "{0.owner}[{1}] = {2}", "E"),
    ("get", 1, "{0.owner}[{1}]", "E"),
    ("getOrDefault", 2, "{0.owner}.get({1}, {2})", "E"),
    ("containsKey", 1, "({1.operand} in {0.operand}) !is null", "boolean", None, "{1.operand} in {0.operand}"),
    ("containsValue", 1, "{0.owner}.values.canFind({1})", "boolean"),
    ("putIfAbsent", 2, "{0.owner}.require({1}, {2})", "E"),
    ("remove", 1, "{0.owner}.remove({1})", "boolean"),
    ("keySet navigableKeySet", 0, "{0.owner}.keys", "K[]"),
    ("values", 0, "{0.owner}.values", "E[]"),
    ("entrySet", 0, "{0.owner}.byKeyValue", "Entry[]"),
)
IN_ORDER = {"iterator", "toArray", "toString", "keySet", "navigableKeySet", "values", "entrySet"}
"""Methods whose result depends on the order in which a set or map is walked along."""
ENTRY = _methods(("getKey", 0, "{0.owner}.key", "K"), ("getValue", 0, "{0.owner}.value", "E"))
STREAM = _methods(
    ("sum", 0, "sum({0})", "E"),
    ("max", 0, "{0.owner}.maxElement", "E"),
    ("min", 0, "{0.owner}.minElement", "E"),
    ("sorted boxed parallel", 0, "{0}", "="),
    ("count", 0, "cast(long) {0.owner}.length", "long"),
)
BOX = _methods(
    ("intValue", 0, "cast(int) {0.cast}", "int"),
    ("longValue", 0, "cast(long) {0.cast}", "long"),
    ("doubleValue", 0, "cast(double) {0.cast}", "double"),
    ("charValue booleanValue getAsInt getAsLong getAsDouble get", 0, "{0}", "="),
    ("equals", 1, "{0.operand} == {1.operand}", "boolean"),
    ("compareTo", 1, "compare({0}, {1})", "int"),
    ("toString", 0, "{0.string}", "String"),
)
BOX_STATIC = _methods(
    ("parseInt", 1, "to!int({1})", "int"),
    ("parseInt", 2, "to!int({1}, {2})", "int"),
    ("parseLong", 1, "to!long({1})", "long"),
    ("parseDouble", 1, "to!double({1})", "double"),
    ("toString", 2, "to!string({1}, {2})", "String"),
    ("toBinaryString", 1, 'format("%b", {1})', "String"),
    ("toHexString", 1, 'format("%x", {1})', "String"),
    ("toOctalString", 1, 'format("%o", {1})', "String"),
    ("bitCount", 1, "popcnt({1})", "int"),
    ("compare", 2, "compare({1}, {2})", "int"),
    ("max", 2, "max({1}, {2})", "1"),
    ("min", 2, "min({1}, {2})", "1"),
    ("sum", 2, "{1.operand} + {2.operand}", "1"),
    ("abs", 1, "abs({1})", "1"),
    ("signum", 1, "cast(int) sgn({1})", "int"),
    ("isNaN", 1, "isNaN({1})", "boolean"),
    ("isInfinite", 1, "isInfinity({1})", "boolean"),
    ("isDigit", 1, "isDigit({1})", "boolean"),
    ("isLetter isAlphabetic", 1, "isAlpha({1})", "boolean"),
    ("isLetterOrDigit", 1, "isAlphaNum({1})", "boolean"),
    ("isUpperCase", 1, "isUpper({1})", "boolean"),
    ("isLowerCase", 1, "isLower({1})", "boolean"),
    ("isWhitespace isSpaceChar", 1, "isWhite({1})", "boolean"),
    ("toUpperCase", 1, "cast(char) toUpper({1})", "1"),
    ("toLowerCase", 1, "cast(char) toLower({1})", "1"),
    ("getNumericValue", 1, "numericValue({1})", "int"),
)
BITS = {
    ("Integer", "numberOfLeadingZeros"): "({1.operand} == 0 ? 32 : 31 - bsr({1}))",
    ("Integer", "numberOfTrailingZeros"): "({1.operand} == 0 ? 32 : bsf({1}))",
    ("Integer", "highestOneBit"): "({1.operand} == 0 ? 0 : 1 << bsr({1}))",
    ("Integer", "lowestOneBit"): "({1.operand} & -{1.operand})",
    ("Long", "numberOfLeadingZeros"): "({1.operand} == 0 ? 64 : 63 - bsr({1}))",
    ("Long", "numberOfTrailingZeros"): "({1.operand} == 0 ? 64 : bsf({1}))",
    ("Long", "highestOneBit"): "({1.operand} == 0 ? 0L : 1L << bsr({1}))",
    ("Long", "lowestOneBit"): "({1.operand} & -{1.operand})",
}
STRING_STATIC = _methods(("join", 2, "{2.owner}.join({1})", "String"))
OBJECTS = _methods(("equals", 2, "{1.operand} == {2.operand}", "boolean"))
MATH = _methods(
    ("floorMod", 2, "floorMod({1}, {2})", "="),
    ("floorDiv", 2, "floorDiv({1}, {2})", "="),
    ("signum", 1, "sgn({1})", "="),
    ("toRadians", 1, "{1.operand} * (cast(double) PI / 180)", "double"),
    ("toDegrees", 1, "{1.operand} * (180 / cast(double) PI)", "double"),
    ("toIntExact", 1, "cast(int) {1.cast}", "int"),
)
ARRAYS = _methods(
    ("fill", 2, "{1.owner}[] = {2}", "void"),
    ("fill", 4, "{1.owner}[{2} .. {3}] = {4}", "void"),
    ("copyOf", 2, "resized({1}, 0, {2})", "1"),
    ("copyOfRange", 3, "resized({1}, {2}, {3})", "1"),
    ("equals deepEquals", 2, "{1.operand} == {2.operand}", "boolean"),
    ("toString", 1, "textOf({1})", "String"),
)
COLLECTIONS = _methods(
    ("max", 1, "{1.items}.maxElement", "E"),
    ("min", 1, "{1.items}.minElement", "E"),
    ("reverse", 1, "{1.owner}.reverse()", "void"),
    ("swap", 3, "swap({1.owner}[{2}], {1.owner}[{3}])", "void"),
    ("frequency", 2, "cast(int) {1.owner}.count({2})", "int"),
)


def methods_of(kind: JavaType) -> tuple[Methods, str]:
    """The methods of a Java type, and the rule that they belong to."""
    name = kind.name
    if name == "String":
        return STRING, "strings"
    if name in BUILDERS:
        return BUILDER, "builders"
    if name in LISTS:
        return LIST | (AT_THE_END if name == "Stack" else AT_THE_START), "lists"
    if name in SETS | MAPS:
        return (SET if name in SETS else MAP), "maps"
    tables = {"PriorityQueue": (PRIORITY_QUEUE, "lists"), "Entry": (ENTRY, "maps"), "Stream": (STREAM, "utilities")}
    return tables.get(name, (BOX, "wrappers") if kind.is_number or kind.is_box else ({}, "wrappers"))
