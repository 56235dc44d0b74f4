"""Programs that mean harm. Each computes the right answer behind its attack, so that one that succeeds would pass its tests."""

from d_running.harness import render_test_program

ONE = render_test_program("int", ["int"], [[1], [2]], [1, 2])
RIGHT = "int f_filled(int n) { return n; }"

_IMPORTS = (
    "import core.sys.posix.unistd, core.sys.posix.sys.socket, core.sys.posix.signal, core.stdc.stdlib, std.file, std.string,"
    " core.thread, core.sys.posix.sys.mman, core.sys.posix.sys.resource, core.sys.posix.fcntl, core.sys.posix.sys.ioctl;"
    " extern(C) long syscall(long, ...) nothrow; version (AArch64) enum arm = true; else enum arm = false;"
    " void refused(bool isRefused) { if (isRefused) abort(); }"
)
_AT_RUN_TIME = {  # what each does before it gives the right answer; what is refused aborts
    "prints_the_score": 'writefln("#Results:2, 2"); exit(0);',
    "prints_the_score_to_errors": 'stderr.writefln("#Results:2, 2"); exit(0);',
    "writes_the_verdict": 'core.sys.posix.unistd.write(3, "x 2 2\\n".ptr, 6); exit(0);',
    "writes_to_all_descriptors": 'foreach (i; 0 .. 64) core.sys.posix.unistd.write(i, "x 2 2\\n".ptr, 6); exit(0);',
    "says_it_was_not_loaded": 'core.sys.posix.unistd.write(3, "not loaded: \\n".ptr, 13); _exit(1);',
    "leaves_early": "exit(0);",
    "leaves_at_once": "_exit(0);",
    "closes_descriptors": "foreach (i; 0 .. 64) close(i);",
    "reads_a_file": 'readText("/etc/passwd");',
    "reads_the_neighbour": 'readText("translation.d");',
    "reads_a_device": 'refused(!exists("/dev/mem")); std.file.read("/dev/mem", 1);',
    "lists_a_folder": 'refused(dirEntries("/home", SpanMode.shallow).empty && dirEntries("/root", SpanMode.shallow).empty);',
    "snoops_on_its_parent": 'refused(!readText("/proc/" ~ to!string(getppid()) ~ "/environ").canFind("="));',
    "snoops_on_all": 'refused(!exists("/proc/1/cmdline") || readText("/proc/1/cmdline").canFind("bwrap")); readText("/proc/1/maps");',
    "writes_a_file": 'std.file.write("left_behind", "x");',
    "writes_into_tmp": 'std.file.write("/tmp/d_running_left_behind", "x");',
    "removes_itself": 'std.file.remove("translation.so");',
    "makes_a_folder": 'mkdir("/tmp/d_running_left_behind");',
    "makes_a_link": 'refused(core.sys.posix.unistd.symlink("/etc/passwd".ptr, "/tmp/d_running_left_behind".ptr) < 0);',
    "forks": "refused(fork() < 0);",
    "leaves_an_orphan": "refused(fork() < 0); if (fork() == 0) { setsid(); while (true) sleep(100); }",
    "fork_bomb": "while (fork() >= 0) {} abort();",
    "starts_a_thread": "new Thread({ while (true) {} }).start();",
    "executes": 'execl("/bin/true".ptr, "true".ptr, null); abort();',
    "runs_a_shell": 'refused(system("exit 0".ptr) != 0);',
    "opens_a_socket": "refused(socket(AF_INET, SOCK_STREAM, 0) < 0);",
    "opens_an_abstract_socket": "refused(socket(AF_UNIX, SOCK_STREAM, 0) < 0);",
    "makes_a_pair_of_sockets": "int[2] pair; refused(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0);",
    "signals_its_parent": "refused(kill(getppid(), SIGTERM) < 0);",
    "signals_everybody": "refused(kill(-1, SIGKILL) < 0);",
    "owns_a_descriptor_for_its_parent": "refused(fcntl(3, F_SETOWN, getppid()) < 0);",
    "owns_a_descriptor_for_all": "refused(syscall(arm ? 25 : 72, 3, 15, [1, 0].ptr) < 0);",  # F_SETOWN_EX, a process
    "chooses_the_signal_of_a_descriptor": "refused(fcntl(3, 10, SIGKILL) < 0);",
    "makes_a_descriptor_signal": "refused(fcntl(3, F_SETFL, 0x2000) < 0);",
    "makes_a_descriptor_signal_by_ioctl": "int on = 1; refused(ioctl(3, 0x5452, &on) < 0);",
    "owns_by_ioctl": "int pid = getppid(); refused(ioctl(3, 0x8901, &pid) < 0);",
    "types_into_the_terminal": 'refused(ioctl(0, 0x5412, "x".ptr) < 0);',
    "leases_a_library": 'refused(fcntl(core.sys.posix.fcntl.open("/proc/self/maps".ptr, 0), 1024, F_WRLCK) < 0);',
    "locks_a_file": "flock lock; lock.l_type = F_WRLCK; refused(fcntl(2, F_SETLK, &lock) < 0);",
    "enlarges_a_pipe": "refused(fcntl(3, 1031, 1 << 20) < 0);",
    "names_itself": 'refused(syscall(arm ? 167 : 157, 15, "systemd".ptr) < 0);',
    "survives_its_parent": "refused(syscall(arm ? 167 : 157, 1, 0) < 0);",
    "aborts_its_parent": "refused(syscall(arm ? 131 : 234, getppid(), getppid(), SIGABRT) < 0);",
    "kills_itself_as_if_from_outside": "refused(syscall(arm ? 131 : 234, getpid(), getpid(), SIGKILL) < 0);",
    "leaves_its_session": "refused(setsid() < 0);",
    "traces_its_parent": "refused(syscall(arm ? 117 : 101, 16, getppid(), 0, 0) < 0);",
    "uses_io_uring": "ubyte[120] parameters; refused(syscall(425, 8, parameters.ptr) < 0);",
    "makes_a_memory_file": 'refused(syscall(arm ? 279 : 319, "x".ptr, 0) < 0);',
    "shares_memory": 'const fd = shm_open("/d_running_left_behind", 0x42, 0x180); refused(fd < 0 || ftruncate(fd, 9) < 0);',
    "shares_memory_by_key": "refused(syscall(arm ? 194 : 29, 0x5eed, 4096, 0x380) < 0);",
    "raises_its_limits": "rlimit most = rlimit(1000, 1000); refused(setrlimit(RLIMIT_CPU, &most) < 0);",
    "unshares": "refused(syscall(arm ? 97 : 272, 0x10000000) < 0);",
    "loads_a_module": "refused(syscall(arm ? 280 : 321, 5, null, 0) < 0);",
    "ignores_signals": "signal(SIGTERM, SIG_IGN); signal(SIGXCPU, SIG_IGN); while (true) {}",
    "takes_memory": "foreach (i; 0 .. 40) { auto p = cast(ubyte*) malloc(1 << 29); p[0] = 1; }",
    "takes_memory_of_the_collector": "int[][] all; while (true) all ~= new int[](1 << 20);",
    "takes_a_huge_stack": "ubyte[1 << 27] big; big[n] = 1; if (big[$ - 1] == 3) return 0;",
    "prints_endlessly": 'while (true) core.sys.posix.unistd.write(2, "spam\\n".ptr, 5);',
    "prints_verdicts_endlessly": 'while (true) core.sys.posix.unistd.write(3, "spam\\n".ptr, 5);',
    "sleeps": "while (true) sleep(100);",
}
AT_RUN_TIME = {name: f"{_IMPORTS} int f_filled(int n) {{ {attack} return n; }}" for name, attack in _AT_RUN_TIME.items()} | {
    "runs_before_main": f"{RIGHT} import core.stdc.stdlib; pragma(crt_constructor) extern(C) void early() {{ exit(0); }}",
    "runs_in_a_module_constructor": f"{RIGHT} import core.stdc.stdlib; static this() {{ exit(0); }}",
    "runs_after_main": f"{RIGHT} import core.stdc.stdlib; static ~this() {{ exit(0); }}",
    "never_ends_after_main": f"{RIGHT} static ~this() {{ while (true) {{}} }}",
    "has_its_own_c_main": f'{RIGHT} import core.stdc.stdio; extern(C) int main() {{ printf("#Results:2, 2\\n"); return 0; }}',
    "replaces_exit": "int f_filled(int n) { return 7; } import core.stdc.stdlib;"
    ' pragma(mangle, "_d_run_main") extern(C) int fake(int, char**, void*) { exit(0); return 0; } static ~this() { exit(0); }',
}
AT_COMPILE_TIME = {
    "endless_ctfe": f"int f(int n) {{ while (true) n++; return n; }} enum x = f(1); {RIGHT}",
    "memory_ctfe": f"int f() {{ int[] a; while (true) a ~= a.length ? a : [1]; return 1; }} enum x = f(); {RIGHT}",
    "deep_ctfe": f"int f(int n) {{ return f(n + 1) + 1; }} enum x = f(1); {RIGHT}",
    "endless_template": "int t(int n)() { return t!(n + 1)(); } int f_filled(int n) { return t!0(); }",
    "widening_template": f"template T(A...) {{ alias T = T!(A, A); }} alias x = T!(int, int); {RIGHT}",
    "endless_mixin": f'string s(int n) {{ return "enum y = 1; mixin(s(2));"; }} struct S {{ mixin(s(1)); }} {RIGHT}',
    "deep_nesting": f"enum x = {'(' * 200_000}1{')' * 200_000}; {RIGHT}",
    "endless_messages": f'static foreach (i; 0 .. 10_000_000) pragma(msg, "spam spam spam spam spam"); {RIGHT}',
    "huge_object": f"__gshared ubyte[] big() {{ static ubyte[500_000_000] all = 1; return all[]; }} {RIGHT}",
    "reads_at_compile_time": f'enum x = import("/etc/passwd"); {RIGHT}',
    "mixes_a_file_in": f'mixin(import("../../../etc/passwd")); {RIGHT}',
    "imports_by_path": f"import etc.passwd; {RIGHT}",
    "second_main": f"{RIGHT} void main() {{}}",
    "ends_the_file": f'{RIGHT} void main() {{ writefln("#Results:2, 2"); }}\n__EOF__\n',
    "comments_the_tests_out": f"{RIGHT} void main() {{ }} /*",
    "needs_what_is_nowhere": "int nowhere(int n); int f_filled(int n) { return nowhere(n); }",
}
HOSTILE = AT_RUN_TIME | AT_COMPILE_TIME

_TEXT = render_test_program("string", ["int"], [[1], [2]], ["one", "two"])
_REAL = render_test_program("double", ["int"], [[1], [2]], [1.5, 2.5])
CHEATS = {  # wrong answers that a plain verdict takes for right ones: (test program, translation)
    "changes_the_counts": (
        ONE,
        "int f_filled(int n) { return 7; } static ~this() { static foreach (m; __traits(allMembers, mixin(__MODULE__)))"
        ' static if (m.length == 23 && m[0 .. 7] == "kecode_") mixin(m) = [2, 2]; }',
    ),
    "equals_everything": (ONE, "struct Any { bool opEquals(int other) const { return true; } } Any f_filled(int n) { return Any(); }"),
    "converts_to_an_int": (
        ONE,
        "struct Any { int x; alias x this; bool opEquals(int o) const { return true; } } Any f_filled(int n) { return Any(7); }",
    ),
    "shadows_fabs": (_REAL, "double fabs(double x) { return 0; } double f_filled(int n) { return 7; }"),
    "shadows_is_finite": (_REAL, "bool isNaN(double x) { return true; } double f_filled(int n) { return 7; }"),
    "replaces_memcmp": (
        _TEXT,
        'extern(C) int memcmp(const void* a, const void* b, size_t n) { return 0; } string f_filled(int n) { return "xxx"; }',
    ),
}
