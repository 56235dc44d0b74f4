"""D code for what Java has and D lacks: appended to a translation that uses it.

Each helper is one that no shorter D replaces: Java's conversion of real numbers, its order of iterating over a HashMap, its heap.
"""

import re
from collections.abc import Iterable

IMPORTS = {
    "array": "std.array",
    "insertInPlace": "std.array",
    "join": "std.array",
    "replace": "std.array",
    "replicate": "std.array",
    "split": "std.array",
    "isAlpha": "std.ascii",
    "isAlphaNum": "std.ascii",
    "isDigit": "std.ascii",
    "isLower": "std.ascii",
    "isUpper": "std.ascii",
    "isWhite": "std.ascii",
    "bsf": "core.bitop",
    "bsr": "core.bitop",
    "popcnt": "core.bitop",
    "format": "std.format",
    "indexOf": "std.string",
    "lastIndexOf": "std.string",
    "matchFirst": "std.regex",
    "regex": "std.regex",
    "replaceAll": "std.regex",
    "replaceFirst": "std.regex",
    "representation": "std.string",
    "strip": "std.string",
    "toLower": "std.uni",
    "toUpper": "std.uni",
}
"""The module of each name that a translation imports itself; the test programs import std.stdio, math, conv and algorithm."""

HELPERS = {
    "toInt": """\
/// Java's (int): the nearest int, 0 for not a number.
int toInt(double x) {
    return isNaN(x) ? 0 : x >= int.max ? int.max : x <= int.min ? int.min : cast(int) x;
}""",
    "toLong": """\
/// Java's (long): the nearest long, 0 for not a number.
long toLong(double x) {
    return isNaN(x) ? 0 : x >= long.max ? long.max : x <= long.min ? long.min : cast(long) x;
}""",
    "floorMod": """\
/// The remainder with the divisor's sign.
T floorMod(T)(T x, T y) {
    return (x % y + y) % y;
}""",
    "floorDiv": """\
/// The quotient rounded down.
T floorDiv(T)(T x, T y) {
    return x / y - (x % y != 0 && (x < 0) != (y < 0));
}""",
    "sameBox": """\
/// Java's == of two boxes: only small values share one object.
bool sameBox(long x, long y) {
    return x == y && x >= -128 && x <= 127;
}""",
    "compare": """\
/// Java's compare: -1, 0 or 1.
int compare(T)(T x, T y) {
    return (x > y) - (x < y);
}""",
    "compareTo": """\
/// Java's compareTo: the difference of the first differing characters, or of the lengths.
int compareTo(string s, string t) {
    foreach (i; 0 .. min(s.length, t.length)) {
        if (s[i] != t[i]) return s[i] - t[i];
    }
    return cast(int) s.length - cast(int) t.length;
}""",
    "numericValue": """\
/// Java's getNumericValue: the digit's or letter's value, -1 for others.
int numericValue(int c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'z' ? c - 'a' + 10 : c >= 'A' && c <= 'Z' ? c - 'A' + 10 : -1;
}""",
    "realText": """\
/// A real number as Java prints it: the fewest digits that say it.
string realText(T)(T x) {
    import std.format : format;
    if (isNaN(x)) return "NaN";
    if (isInfinity(x)) return x < 0 ? "-Infinity" : "Infinity";
    string text;
    for (int digits = 1; text.length == 0 || to!T(text) != x; digits++) text = format("%.*e", digits, x);
    const sign = text[0] == '-' ? "-" : "";
    const parts = text[sign.length .. $].findSplit("e");
    const digits = parts[0][0] ~ parts[0][2 .. $];
    const exponent = to!int(parts[2]);
    if (x == 0) return sign ~ "0.0";
    if (exponent < -3 || exponent >= 7) return sign ~ trimmed(parts[0]) ~ "E" ~ to!string(exponent);
    string zeros(int count) { string run; foreach (_; 0 .. count) run ~= '0'; return run; }
    if (exponent < 0) return sign ~ trimmed("0." ~ zeros(-exponent - 1) ~ digits);
    const padded = digits ~ zeros(max(0, exponent + 2 - cast(int) digits.length));
    return sign ~ trimmed(padded[0 .. exponent + 1] ~ "." ~ padded[exponent + 1 .. $]);
}

string trimmed(string text) {
    while (text[$ - 1] == '0' && text[$ - 2] != '.') text = text[0 .. $ - 1];
    return text;
}""",
    "textOf": """\
/// An array as Java's Arrays.toString prints it.
string textOf(T)(T[] items) {
    string text = "[";
    foreach (i, item; items) text ~= (i ? ", " : "") ~ to!string(item);
    return text ~ "]";
}""",
    "splitBy": """\
/// Java's split: without the empty strings at the end.
string[] splitBy(string text, string pattern) {
    import std.regex : regex, split;
    if (text.length == 0) return [""];
    auto parts = text.split(regex(pattern));
    if (parts.length > 1 && parts[0].length == 0 && pattern.length == 0) parts = parts[1 .. $];
    while (parts.length > 0 && parts[$ - 1].length == 0) parts = parts[0 .. $ - 1];
    return parts;
}""",
    "splitAt": """\
/// Java's split at a plain separator: without the empty strings at the end.
string[] splitAt(string text, string separator) {
    string[] parts;
    string rest = text;
    for (auto found = rest.findSplit(separator); found; found = rest.findSplit(separator)) {
        parts ~= found[0];
        rest = found[2];
    }
    parts ~= rest;
    while (text.length > 0 && parts.length > 0 && parts[$ - 1].length == 0) parts = parts[0 .. $ - 1];
    return parts;
}""",
    "requireIn": """\
/// The place of a map's value, which is made if it is not there.
V* requireIn(V, K)(ref V[K] map, K key) {
    if (key !in map) map[key] = null;
    return key in map;
}

V* requireIn(M, K)(M map, K key) if (is(M == class)) {
    if (key !in map) map[key] = null;
    return key in map;
}""",
    "resized": """\
/// A copy of a part, filled up with zeros.
T[] resized(T)(T[] items, int start, int end) {
    auto part = new T[end - start];
    foreach (i, ref item; part) item = start + i < items.length ? items[start + i] : cast(T) 0;
    return part;
}""",
    "pop": """\
/// Removes the last element and returns it.
T pop(T)(ref T[] items) {
    T last = items[$ - 1];
    items = items[0 .. $ - 1];
    return last;
}""",
    "poll": """\
/// Removes the first element and returns it.
T poll(T)(ref T[] items) {
    T first = items[0];
    items = items[1 .. $];
    return first;
}""",
    "removeAt": """\
/// Removes the element at an index and returns it.
T removeAt(T)(ref T[] items, int index) {
    T item = items[index];
    items = items[0 .. index] ~ items[index + 1 .. $];
    return item;
}""",
    "removeItem": """\
/// Removes the first element that is equal; whether there was one.
bool removeItem(T)(ref T[] items, T item) {
    const index = items.countUntil(item);
    if (index < 0) return false;
    items = items[0 .. index] ~ items[index + 1 .. $];
    return true;
}""",
    "insertInto": """\
/// Adds to a set; whether it was new.
bool insertInto(S, T)(ref S set, T item) {
    const isNew = item !in set;
    set[item] = true;
    return isNew;
}""",
    "setOf": """\
/// The set of these items.
bool[T] setOf(T)(T[] items) {
    bool[T] set;
    foreach (item; items) set[item] = true;
    return set;
}""",
    "LinkedHashMap": """\
/// A map that is walked along in the order of insertion; a set is a map to bool.
class LinkedHashMap(K, V) {
    V[K] entries;
    K[] inserted;

    void opIndexAssign(V value, K key) {
        if (key !in entries) inserted ~= key;
        entries[key] = value;
    }

    ref V opIndex(K key) { return entries[key]; }
    V* opBinaryRight(string op : "in")(K key) { return key in entries; }
    V get(K key, lazy V missing) { return entries.get(key, missing); }
    V require(K key, lazy V missing) {
        if (key !in entries) this[key] = missing;
        return entries[key];
    }

    bool remove(K key) {
        if (key in entries) {
            const index = inserted.countUntil(key);
            inserted = inserted[0 .. index] ~ inserted[index + 1 .. $];
        }
        return entries.remove(key);
    }

    void clear() {
        entries.clear();
        inserted = null;
    }

    size_t length() { return entries.length; }
    K[] keys() { return inserted.dup; }

    V[] values() {
        V[] all;
        foreach (key; keys) all ~= entries[key];
        return all;
    }

    auto byKeyValue() {
        struct Entry { K key; V value; }
        Entry[] all;
        foreach (key; keys) all ~= Entry(key, entries[key]);
        return all;
    }
}""",
    "HashMap": """\
/// A map that is walked along in the order of Java's HashMap: by the bucket of the key, then by insertion.
class HashMap(K, V) : LinkedHashMap!(K, V) {
    size_t capacity;

    this(size_t initial = 16) {
        for (capacity = 1; capacity < initial;) capacity *= 2;
    }

    override void opIndexAssign(V value, K key) {
        super.opIndexAssign(value, key);
        while (length > capacity * 3 / 4) capacity *= 2;
    }

    override K[] keys() {
        auto chains = new K[][](capacity);
        foreach (key; inserted) chains[bucket(key)] ~= key;
        K[] all;
        foreach (chain; chains) all ~= chain;
        return all;
    }

    size_t bucket(K key) {
        static if (is(K == string)) {
            uint code = 0;
            foreach (wchar c; key) code = 31 * code + c;
        } else static if (is(K == bool)) {
            const uint code = key ? 1231 : 1237;
        } else static if (is(K == double)) {
            const bits = key == 0 ? 0L : *cast(long*) &key;
            const uint code = cast(uint) (bits ^ (bits >>> 32));
        } else {
            const uint code = cast(uint) (K.sizeof == 8 ? key ^ (cast(long) key >>> 32) : key);
        }
        return (code ^ (code >>> 16)) & (capacity - 1);
    }
}""",
    "TreeMap": """\
/// A map that is walked along in the order of its keys.
class TreeMap(K, V) : LinkedHashMap!(K, V) {
    override K[] keys() {
        auto all = entries.keys;
        static if (is(K == char)) (cast(ubyte[]) all).sort();
        else all.sort();
        return all;
    }
}""",
    "PriorityQueue": """\
/// Java's binary heap: equal elements leave it in the same order.
class PriorityQueue(T, alias before) {
    T[] heap;

    void add(T item) {
        heap ~= item;
        size_t at = heap.length - 1;
        for (; at > 0 && before(item, heap[(at - 1) / 2]); at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
        heap[at] = item;
    }

    T peek() { return heap[0]; }

    T poll() {
        T first = heap[0], last = heap[$ - 1];
        heap = heap[0 .. $ - 1];
        size_t at = 0;
        while (2 * at + 1 < heap.length) {
            size_t child = 2 * at + 1;
            if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++;
            if (!before(heap[child], last)) break;
            heap[at] = heap[child];
            at = child;
        }
        if (heap.length > 0) heap[at] = last;
        return first;
    }

    void clear() { heap = null; }
    size_t length() { return heap.length; }
}""",
}
"""D source by the name that it defines."""


def helpers(names: Iterable[str]) -> list[str]:
    """The source of the helpers among ``names`` and of those that they use."""
    needed = [name for name in HELPERS if name in names]
    for name in needed:
        needed += [other for other in HELPERS if other not in needed and re.search(rf"\b{other}\b", HELPERS[name])]
    return [HELPERS[name] for name in needed]
