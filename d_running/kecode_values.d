/// Sends what a tested function returned over descriptor 3, for somebody else to compare.
///
/// Templates only: the module is imported and never compiled itself.
module kecode_values;

import core.stdc.stdio : snprintf;
import core.sys.posix.unistd : write;

/// Sends `value` as a line of text, each number in the type in which `==` compares it with an `Expected`; and returns it.
T send(Expected, T)(T value)
{
    Line!() line;
    put!Expected(line, value);
    line.put("\n");
    line.flush();
    return value;
}

/// As text: `[` and `]` around elements, integers such as `i4:-1` (signed or unsigned, bytes), reals as `f:`, `d:` or `r:` and
/// the bits of the value as a double, with a `~` behind it where that is not all of a `real`.
private void put(Expected, T)(ref Line!() line, auto ref T value)
{
    static if (is(Expected : const(E)[], E) && is(T : const(U)[], U))
    {
        line.put("[");
        foreach (ref element; value)
        {
            if (line.isFull)
                break;
            put!E(line, element);
        }
        line.put("]");
    }
    else static if (is(typeof(true ? Expected.init : T.init) Common) && __traits(isArithmetic, Common))
    {
        char[64] text = void;
        Common number = value;
        static if (__traits(isFloating, Common))
        {
            enum kind = is(Common : float) && Common.sizeof == 4 ? 'f' : is(Common : double) && Common.sizeof == 8 ? 'd' : 'r';
            const rounded = cast(double) number;
            const isAll = cast(Common) rounded == number || number != number;
            const length = snprintf(text.ptr, text.length, "%c:%016llx%s ", kind, *cast(const(ulong)*) &rounded, isAll ? "".ptr : "~".ptr);
        }
        else static if (__traits(isUnsigned, Common))
            const length = snprintf(text.ptr, text.length, "u%d:%llu ", cast(int) Common.sizeof, cast(ulong) number);
        else
            const length = snprintf(text.ptr, text.length, "i%d:%lld ", cast(int) Common.sizeof, cast(long) number);
        line.put(text[0 .. length]);
    }
    else
        static assert(false, "the function returns a " ~ T.stringof ~ ", which is no " ~ Expected.stringof);
}

/// Characters on their way out; what is beyond a million is dropped, since no expected result is as long.
private struct Line()
{
    char[4096] text = void;
    size_t used, sent;

    bool isFull() const
    {
        return sent > 1 << 20;
    }

    void put(scope const(char)[] more)
    {
        if (isFull && more != "\n")
            return;
        if (used + more.length > text.length)
            flush();
        text[used .. used + more.length] = more;
        used += more.length;
    }

    void flush()
    {
        for (size_t done = 0; done < used;)
        {
            const count = write(3, text.ptr + done, used - done);
            if (count < 0)
                break;
            done += count;
        }
        sent += used;
        used = 0;
    }
}
