/// Runs one compiled test program, a shared library: `runner confined|open LIBRARY [MAIN [COUNTS]]`.
///
/// MAIN is the symbol of the program's `main`; without it the library is only loaded. COUNTS is that of the two numbers that a plain test
/// program leaves behind: tests passed, tests run. A key comes over descriptor 4 then, read before any code of the library runs, and when
/// the program has ended without an error the numbers are written to descriptor 3, behind the key; without COUNTS, the line "end".
module runner;

import core.stdc.errno : errno;
import core.stdc.stdio : snprintf;
import core.stdc.string : strerror, strlen;
import core.sys.posix.dlfcn : dlerror, dlopen, dlsym, RTLD_NOW;
import core.sys.posix.fcntl : open;
import core.sys.posix.unistd : close, read, write;

extern (C) alias DMain = int function(char[][]);
extern (C) int _d_run_main(int argc, char** argv, DMain main);
extern (C) long syscall(long number, ...);

/// One thread only, which is all that the sandbox allows.
extern (C) __gshared string[] rt_options = ["gcopt=parallel:0"];

private __gshared bool isToBeConfined;
private __gshared char* libraryPath, mainName, countsName;
private __gshared const(ulong)* counts;

/// Runs when the runtime has started, which is the last that needs a file: it finds the stack's bounds in `/proc/self/maps`.
extern (C) private int runTest(char[][])
{
    if (isToBeConfined && !giveUpFiles())
        return refuse(strerror(errno));
    void* library = dlopen(libraryPath, RTLD_NOW);
    if (!library)
        return refuse(dlerror());
    if (!mainName)
        return 0;
    const test = cast(void function()) dlsym(library, mainName);
    counts = countsName ? cast(const(ulong)*) dlsym(library, countsName) : null;
    if (!test || (countsName && !counts))
        return refuse(dlerror());
    test();
    return 0;
}

/// Whether Landlock leaves no file to this process but the library, to be read.
private bool giveUpFiles()
{
    enum createRuleset = 444, addRule = 445, restrictSelf = 446, pathBeneath = 1, readFile = 1UL << 2, pathOnly = 0x200000;
    static immutable int[6] countOfRights = [0, 13, 14, 15, 15, 16]; // by version; later ones have other objects than files
    const abi = syscall(createRuleset, null, size_t(0), size_t(1));
    if (abi < 1)
        return false;
    const rights = (1UL << countOfRights[abi < 5 ? abi : 5]) - 1;
    align(1) static struct Rule
    {
    align(1):
        ulong rights;
        int file;
    }

    const ruleset = cast(int) syscall(createRuleset, &rights, rights.sizeof, size_t(0));
    const rule = Rule(readFile, open(libraryPath, pathOnly));
    const isDone = ruleset >= 0 && syscall(addRule, ruleset, pathBeneath, &rule, size_t(0)) == 0 && syscall(restrictSelf, ruleset, size_t(0)) == 0;
    close(rule.file);
    close(ruleset);
    return isDone;
}

private int refuse(const(char)* reason)
{
    write(3, "not loaded: ".ptr, 12);
    write(3, reason, strlen(reason));
    return 1;
}

extern (C) int main(int argc, char** argv)
{
    isToBeConfined = argv[1][0] == 'c';
    libraryPath = argv[2];
    mainName = argc > 3 ? argv[3] : null;
    countsName = argc > 4 ? argv[4] : null;
    char[32] key = void;
    const isSigned = countsName && read(4, key.ptr, key.length) == key.length;
    close(4);

    char*[2] arguments = [cast(char*) "translation".ptr, null];
    const code = _d_run_main(1, arguments.ptr, &runTest);
    char[128] line = void;
    if (code == 0 && !countsName)
        write(3, "end\n".ptr, 4);
    else if (code == 0 && isSigned && counts)
        write(3, line.ptr, snprintf(line.ptr, line.length, "%.32s %llu %llu\n", key.ptr, counts[0], counts[1]));
    return code;
}
