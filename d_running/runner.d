/// Runs one compiled test program, a shared library, and signs its result: `runner LIBRARY MAIN COUNTS`.
///
/// MAIN is the symbol of the program's `main`, COUNTS that of the two numbers that it leaves behind: tests passed, tests run.
/// The key comes over descriptor 4 and is read before any code of the library runs. Only when the program has ended without
/// an error are the numbers written to descriptor 3, behind the key. With LIBRARY alone it is only loaded.
module runner;

import core.stdc.stdio : snprintf;
import core.stdc.string : strlen;
import core.sys.posix.dlfcn : dlerror, dlopen, dlsym, RTLD_NOW;
import core.sys.posix.unistd : close, read, write;

extern (C) alias DMain = int function(char[][]);
extern (C) int _d_run_main(int argc, char** argv, DMain main);

private __gshared extern (C) void function() test;

extern (C) private int runTest(char[][])
{
    test();
    return 0;
}

private int refuse(const(char)* reason)
{
    write(3, "not loaded: ".ptr, 12);
    write(3, reason, strlen(reason));
    return 1;
}

extern (C) int main(int argc, char** argv)
{
    char[32] key = void;
    const isSigned = read(4, key.ptr, key.length) == key.length;
    close(4);

    void* library = dlopen(argv[1], RTLD_NOW);
    if (!library)
        return refuse(dlerror());
    if (argc == 2)
        return 0;
    test = cast(typeof(test)) dlsym(library, argv[2]);
    const counts = cast(const(ulong)*) dlsym(library, argv[3]);
    if (!test || !counts)
        return refuse(dlerror());

    // One thread only, which is all that the sandbox allows.
    char*[3] arguments = [cast(char*) "translation".ptr, cast(char*) "--DRT-gcopt=parallel:0".ptr, null];
    const code = _d_run_main(2, arguments.ptr, &runTest);
    char[128] line = void;
    if (code == 0 && isSigned)
        write(3, line.ptr, snprintf(line.ptr, line.length, "%.32s %llu %llu\n", key.ptr, counts[0], counts[1]));
    return code;
}
