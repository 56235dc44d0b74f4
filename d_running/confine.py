"""Landlock and seccomp through `ctypes`: a process gives up files, other processes and the network, then becomes a program.

Standard library only, since `launcher` imports it by path. Linux on x86-64 and AArch64; elsewhere `confine` raises.
"""

import ctypes
import errno
import os
import platform
import signal
import struct
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)

# Landlock (linux/landlock.h); its three calls have the same numbers everywhere.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE, _IOCTL = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
_RIGHTS_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_RIGHTS_OF_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_NETWORK_ABI, _BIND_AND_CONNECT = 4, 3
_SCOPE_ABI, _ABSTRACT_SOCKETS_AND_SIGNALS = 6, 3

PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 1, 38, 22, 2
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16
_FILTER_BYTES = 8
_X32_BIT = 0x40000000

_PATH_BUFFER = ctypes.create_string_buffer(4096)
"""Holds the one path that may be executed: the filter cannot read paths, but it can compare their address."""

_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
# What a single-threaded D program needs (and bubblewrap around it: wait4), by number on x86-64 and AArch64 (None: not there).
# All else is refused.
_ALLOWED = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "stat": (4, None), "fstat": (5, 80), "lstat": (6, None), "poll": (7, None),
    "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "pread64": (17, 67), "readv": (19, 65),
    "writev": (20, 66), "access": (21, None), "sched_yield": (24, 124), "mremap": (25, 216), "madvise": (28, 233),
    "nanosleep": (35, 101), "getpid": (39, 172), "exit": (60, 93), "wait4": (61, 260), "uname": (63, 160), "getcwd": (79, 17),
    "readlink": (89, None), "gettimeofday": (96, 169), "getrlimit": (97, 163), "getrusage": (98, 165), "sysinfo": (99, 179),
    "times": (100, 153), "getuid": (102, 174), "getgid": (104, 176), "geteuid": (107, 175), "getegid": (108, 177),
    "sigaltstack": (131, 132), "gettid": (186, 178), "time": (201, None),
    "sched_getaffinity": (204, 123), "getdents64": (217, 61), "set_tid_address": (218, 96), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94), "openat": (257, 56), "open": (2, None),
    "newfstatat": (262, 79), "readlinkat": (267, 78), "faccessat": (269, 48), "set_robust_list": (273, 99), "getrandom": (318, 278),
    "membarrier": (324, 283), "statx": (332, 291), "rseq": (334, 293), "faccessat2": (439, 439),
    "landlock_create_ruleset": (444, 444), "landlock_add_rule": (445, 445), "landlock_restrict_self": (446, 446),
}  # fmt: skip
# Calls of many commands, each with the argument that names the command and those that a D program needs. Other commands reach beyond
# the process: F_SETOWN and FIOSETOWN send signals to any other, F_SETLEASE stops whoever opens a library.
_COMMANDS = {
    "fcntl": ((72, 25), 1, (1, 2, 3)),  # F_GETFD, F_SETFD, F_GETFL
    "ioctl": ((16, 29), 1, (0x5401, 0x5450, 0x5451)),  # TCGETS: is it a terminal?; FIONCLEX, FIOCLEX: Python opens files with them
    "arch_prctl": ((158, None), 0, (0x1002,)),  # ARCH_SET_FS, at the start
    "futex": ((202, 98), 1, (0, 1, 9, 10, 128, 129, 137, 138, 265, 393)),  # wait and wake, also private, by a clock
    "prlimit64": ((302, 261), 2, (0,)),  # limits may be read, not set
}
_EXECVE, _TGKILL = (59, 221), (234, 131)


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def confine_to_computing(program: str, readable: list[str]) -> None:
    """Give up, for this process and for good, all files but reading ``readable`` and executing ``program``; `restrict_calls` does the rest.

    Args:
        program: path of the one file that may be executed (with the loader that it names).
        readable: files and folders that stay readable; those that do not exist are passed over.

    Raises:
        OSError: if this kernel or machine has no Landlock or no seccomp.
    """
    rules = dict.fromkeys([*readable, "/proc/self"], _READ_FILE | _READ_DIR)  # the D runtime finds its stack's bounds in /proc/self/maps
    rules |= dict.fromkeys((program, "/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"), _EXECUTE | _READ_FILE)
    _restrict_files(rules)


def confine_to_building(folder: str, readable: list[str]) -> None:
    """Give up, for this process and for good, all files but ``readable``, which may also be executed, and what is in ``folder``.

    Raises:
        OSError: if this kernel has no Landlock.
    """
    _restrict_files(dict.fromkeys([*readable, "/proc/self"], _EXECUTE | _READ_FILE | _READ_DIR) | {"/dev/null": _WRITE_FILE | _READ_FILE, folder: -1})


def _restrict_files(rules: dict[str, int]) -> None:
    """Restrict this process to files beneath the given paths, each with its rights (-1 for all); missing paths are passed over."""
    check(LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    abi = check(LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))
    handled = _RIGHTS_OF_ABI[min(abi, max(_RIGHTS_OF_ABI))]
    attributes = [handled, *[_BIND_AND_CONNECT] * (abi >= _NETWORK_ABI), *[_ABSTRACT_SOCKETS_AND_SIGNALS] * (abi >= _SCOPE_ABI)]
    packed = struct.pack(f"{len(attributes)}Q", *attributes)
    ruleset = check(LIBC.syscall(_CREATE_RULESET, packed, ctypes.c_size_t(len(packed)), ctypes.c_uint32(0)))
    for path, rights in rules.items():
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        allowed = rights & handled if Path(path).is_dir() else rights & handled & _RIGHTS_OF_FILES
        rule = _PathBeneath(allowed, descriptor)
        check(LIBC.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), ctypes.c_uint32(0)))
        os.close(descriptor)
    check(LIBC.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)))
    os.close(ruleset)


def restrict_calls() -> None:
    """Give up, for this process and for good, all system calls that do more than compute, read, and execute what `execute` is given.

    Raises:
        OSError: if this machine has no seccomp.
    """
    address = ctypes.addressof(_PATH_BUFFER)
    filters = calls_filter(address, os.getpid())
    code = ctypes.create_string_buffer(filters, len(filters))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(filters) // _FILTER_BYTES, ctypes.addressof(code)))
    check(LIBC.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0))


def calls_filter(may_execute: int | None, pid: int | None) -> bytes:
    """The seccomp filter of a program that only computes.

    Args:
        may_execute: the one address of a path that may be executed; None for any.
        pid: the one process that may be signalled; None for any.

    Raises:
        OSError: if the system calls of this machine are not known.
    """
    if platform.machine() not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no list of system calls for {platform.machine()}")
    architecture, column = _ARCHITECTURES[platform.machine()]
    filters = [(_LOAD, 0, 0, _ARCHITECTURE_OFFSET), (_JUMP_IF_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL)]
    filters += [(_LOAD, 0, 0, _NUMBER_OFFSET)]
    if column == 0:
        filters += [(_JUMP_IF_AT_LEAST, 0, 1, _X32_BIT), (_RETURN, 0, 0, _REFUSE)]
    for numbers in _ALLOWED.values():
        if (number := numbers[column]) is not None:
            filters += _allow(number)
    for numbers, argument, values in _COMMANDS.values():
        if (number := numbers[column]) is not None:
            for value in values:
                filters += _allow_if(number, {argument: value})
    filters += _allow(_EXECVE[column]) if may_execute is None else _allow_if(_EXECVE[column], {0: may_execute})
    # abort() signals its own process. No other signal: one that comes from outside is then known to.
    filters += _allow_if(_TGKILL[column], {2: signal.SIGABRT} | ({} if pid is None else {0: pid}))
    filters += [(_RETURN, 0, 0, _REFUSE)]
    return b"".join(struct.pack("HBBI", *one) for one in filters)


def _allow(number: int) -> list[tuple[int, int, int, int]]:
    return [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]


def _allow_if(number: int, values: dict[int, int]) -> list[tuple[int, int, int, int]]:
    """Filters that allow a system call only with these values as its arguments of those indices; the accumulator holds the number."""
    checks = []
    for argument, value in values.items():
        for half in (0, 1):
            wanted = value >> 32 * half & 0xFFFFFFFF
            checks += [(_LOAD, 0, 0, _ARGUMENTS_OFFSET + 8 * argument + 4 * half), (_JUMP_IF_EQUAL, 0, None, wanted)]
    checks.append((_RETURN, 0, 0, _ALLOW))
    length = len(checks) + 1  # with the load behind them, which restores the accumulator
    code = [(_JUMP_IF_EQUAL, 0, length, number)]
    code += [(kind, yes, len(checks) - at - 1 if no is None else no, value) for at, (kind, yes, no, value) in enumerate(checks)]
    return [*code, (_LOAD, 0, 0, _NUMBER_OFFSET)]


def execute(argv: list[str], environment: dict[str, str]) -> None:
    """Become the program ``argv[0]``, through the one address that the filter lets pass.

    Raises:
        OSError: if it cannot be executed.
    """
    _PATH_BUFFER.value = os.fsencode(argv[0])
    arguments = (ctypes.c_char_p * (len(argv) + 1))(*map(os.fsencode, argv), None)
    variables = [os.fsencode(f"{name}={value}") for name, value in environment.items()]
    check(LIBC.execve(_PATH_BUFFER, arguments, (ctypes.c_char_p * (len(variables) + 1))(*variables, None)))


def is_confined() -> bool:
    """Whether this process is refused what `confine` took: an outside file, a new process, a socket, a signal to its parent."""
    try:
        os.close(os.open("/etc/passwd", os.O_RDONLY))
        return False
    except PermissionError:
        return LIBC.fork() == LIBC.socket(1, 1, 0) == LIBC.kill(os.getppid(), 0) == -1


def check(result: int) -> int:
    """``result``, of a C function.

    Raises:
        OSError: what ``errno`` says, if it is negative.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
