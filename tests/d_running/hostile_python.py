"""Python programs that mean harm, or cheat; see `hostile`, of which this is the Python part."""

from d_running.python_target.harness import render_test_program

ONE = render_test_program("int", ["int"], [[1], [2]], [1, 2])
SORTS = render_test_program("void", ["int[]"], [[[3, 1]], [[9, 8, 7]]], [None, None], False, {0: [[1, 3], [7, 8, 9]]})
RIGHT = "def f_filled(n):\n    return n\n"

_STEPS = {  # what each does before it gives the right answer; what is refused raises
    "writes_guesses": "os.write(3, b'n:0 \\nn:0 \\nend\\n'); os._exit(0)",
    "writes_json_to_stdout": "print('#Results:2, 2'); os._exit(0)",
    "says_end_twice": "os.write(3, b'end\\n')",
    "not_compiled": "os.write(3, b'does not compile\\n'); os._exit(1)",
    "reads_passwd": "open('/etc/passwd').read()",
    "reads_environ_parent": "d = open(f'/proc/{os.getppid()}/environ').read(); assert '=' in d",
    "reads_mem_parent": "open(f'/proc/{os.getppid()}/mem','rb').seek(4096)",
    "reads_proc1": "open('/proc/1/maps').read()",
    "lists_root": "assert os.listdir('/root')",
    "lists_home": "assert os.listdir('/home')",
    "lists_tmp": "os.listdir('/tmp')",
    "lists_job": "assert os.listdir('/kecode')",
    "writes_here": "open('left','w').write('x')",
    "writes_tmp": "open('/tmp/d_running_left_behind','w').write('x')",
    "writes_shm": "open('/dev/shm/d_running_left_behind','w').write('x')",
    "changes_job": "open('job.json','w').write('{}')",
    "changes_runner": "open('../tools/runner.py','a').write('x')",
    "removes_job": "os.remove('job.json')",
    "renames_job": "os.rename('job.json', 'x')",
    "chmods": "os.chmod('job.json', 0o777)",
    "makes_dir": "os.mkdir('/tmp/d_running_left_behind')",
    "links": "os.symlink('/etc/passwd', 'x')",
    "forks": "os.fork()",
    "spawns": "import subprocess; subprocess.run(['/bin/true'])",
    "posix_spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    "system": "assert os.system('exit 0') == 0",
    "execs": "os.execv('/bin/true', ['true'])",
    "execs_python": "os.execv('/proc/self/exe', ['python', '-c', 'import os; os.write(3, b\"x\")'])",
    "multiprocessing": "import multiprocessing as m; p = m.Process(target=print); p.start(); p.join(); assert p.exitcode == 0",
    "threads": "import threading; t = threading.Thread(target=lambda: None); t.start()",
    "socket": "import socket; socket.socket()",
    "socketpair": "import socket; socket.socketpair()",
    "urlopen": "import urllib.request; urllib.request.urlopen('http://127.0.0.1:1')",
    "kills_parent": "os.kill(os.getppid(), 9)",
    "kills_all": "os.kill(-1, 9)",
    "kills_self": "os.kill(os.getpid(), 9)",
    "ctypes_syscall_kill": "import ctypes; L = ctypes.CDLL(None, use_errno=True); assert L.syscall(62, os.getppid(), 15) == 0",
    "ctypes_ptrace": "import ctypes; assert ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0",
    "ctypes_memfd": "import ctypes; assert ctypes.CDLL(None).memfd_create(b'x', 0) >= 0",
    "ctypes_unshare": "import ctypes; assert ctypes.CDLL(None).unshare(0x10000000) == 0",
    "ctypes_io_uring": "import ctypes; b = ctypes.create_string_buffer(120); assert ctypes.CDLL(None).syscall(425, 8, b) >= 0",
    "ctypes_shm": "import ctypes; assert ctypes.CDLL(None).syscall(29, 0x5eed, 4096, 0o1600) >= 0",
    "ctypes_prctl": "import ctypes; assert ctypes.CDLL(None).prctl(1, 0) == 0",
    "fcntl_own": "import fcntl; fcntl.fcntl(3, fcntl.F_SETOWN, os.getppid())",
    "fcntl_async": "import fcntl; fcntl.fcntl(3, fcntl.F_SETFL, 0x2000)",
    "fcntl_nonblock": "import fcntl; fcntl.fcntl(3, fcntl.F_SETFL, os.O_NONBLOCK)",
    "ioctl_tiocsti": "import fcntl; fcntl.ioctl(0, 0x5412, b'x')",
    "raises_limits": "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1000, 1000))",
    "ignores_sigs": "import signal; signal.signal(15, signal.SIG_IGN); signal.signal(24, signal.SIG_IGN)\nwhile True: pass",
    "memory": "x = []\nwhile True: x.append(bytearray(1 << 26))",
    "memory_int": "x = 1 << (1 << 36)",
    "stderr_flood": "\nwhile True: os.write(2, b'spam\\n' * 1000)",
    "fd3_flood": "\nwhile True: os.write(3, b'spam\\n' * 1000)",
    "deep_recursion": "import sys; sys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
    "segfault": "import ctypes; ctypes.string_at(0)",
    "abort": "os.abort()",
    "sleeps": "import time; time.sleep(100)",
    "closes_fds": "os.closerange(0, 64)",
    "dup_fd": "os.dup2(2, 3)",
    "pty": "import pty; pty.openpty()",
    "mmap_anon": "import mmap; m = mmap.mmap(-1, 1 << 40)",
    "ansi": "raise ValueError('\\x1b[31mred\\x1b]0;title\\x07 \\u202e' + chr(0xd800))",
    "huge_message": "raise ValueError('x' * 10**7)",
    "random_message": "raise ValueError(os.urandom(8).hex())",
    "address_message": "raise ValueError(str(object()))",
    "path_message": "raise ValueError(os.getcwd())",
    "newline_message": "raise ValueError('a\\nError: b\\n@x(1)')",
    "mountinfo": "d = open('/proc/self/mountinfo').read(); assert 'overlay' in d or '/work' in d",
    "excepthook": "import sys; sys.excepthook = lambda *a: os._exit(0); raise ValueError",
    "atexit": "import atexit; atexit.register(lambda: os._exit(0)); raise ValueError",
}
AT_RUN_TIME = {
    name: "import os\n\n\ndef f_filled(n):\n" + "".join(f"    {line}\n" for line in step.split("\n")) + "    return n\n"
    for name, step in _STEPS.items()
}
CHEATS = {  # wrong answers: (test program, translation)
    "eq_true_int": (
        ONE,
        "class A(int):\n"
        "    def __eq__(self, o): return True\n"
        "    def __repr__(self): return '1'\n"
        "    def __format__(self, s): return '1'\n"
        "    def __int__(self): return 1\n"
        "    def __index__(self): return 1\n"
        "def f_filled(n): return A(0)\n",
    ),
    "str_int": (ONE, "class A(int):\n    def __str__(self): return 'x'\ndef f_filled(n): return A(0)"),
    "gc_expected": (
        ONE,
        "import gc\n"
        "def f_filled(n):\n"
        "    for o in gc.get_objects():\n"
        "        if isinstance(o, dict) and ('expected' in o or 'results' in o):\n"
        "            v = o.get('expected') or o.get('results')\n"
        "            if isinstance(v, list): return v[n - 1]\n"
        "    return 0\n",
    ),
    "frames": (
        ONE,
        "import sys\n"
        "def f_filled(n):\n"
        "    f = sys._getframe()\n"
        "    while f:\n"
        "        for k, v in list(f.f_locals.items()) + list(f.f_globals.items()):\n"
        "            if 'result' in k or 'expect' in k:\n"
        "                if isinstance(v, list): return v[n-1]\n"
        "        f = f.f_back\n"
        "    return 0\n",
    ),
    "patch_text": (
        ONE,
        "import sys\nm = sys.modules['__main__']\ndef f_filled(n):\n    m._text = lambda v: 'n:%d ' % 1\n    return 0\n",
    ),
    "patch_struct": (ONE, "import struct\nstruct.pack = lambda *a: b'12345678'\ndef f_filled(n): return 0.5"),
    "patch_os_write": (
        ONE,
        "import os\nw = os.write\nos.write = lambda fd, d: (w(fd, d.replace(b'n:0', b'n:1')), len(d))[1]\ndef f_filled(n): return 0\n",
    ),
    "env": (ONE, "import os\ndef f_filled(n): return int(os.environ.get('EXPECTED', '0'))"),
    "reads_self_mem": (
        ONE,
        "import re\n"
        "def f_filled(n):\n"
        "    for line in open('/proc/self/maps'):\n"
        "        a, p = line.split()[:2]\n"
        "        if 'rw' not in p: continue\n"
        "        s, e = [int(x, 16) for x in a.split('-')]\n"
        "        try:\n"
        "            f = open('/proc/self/mem', 'rb'); f.seek(s); d = f.read(e - s)\n"
        "        except Exception: continue\n"
        "        m = re.search(rb'expected[^a-z]{0,20}?(\\d)', d)\n"
        "        if m: return int(m[1])\n"
        "    return 0\n",
    ),
    "returns_own_argument_list": (SORTS, "class L(list):\n    pass\ndef f_filled(a): a[:] = [0]"),
    "reverse_trick": (SORTS, "def f_filled(a): a.clear()"),
    "sorts_copy": (SORTS, "def f_filled(a): return sorted(a)"),
    "rebinding": (SORTS, "def f_filled(a): a = sorted(a)"),
    "list_subclass_in_frame": (
        SORTS,
        "import sys\n"
        "class L(list):\n"
        "    def __iter__(self): return iter(())\n"
        "    def __eq__(self, o): return True\n"
        "def f_filled(a):\n"
        "    f = sys._getframe(1)\n"
        "    f.f_locals['row'][0] = L()\n",
    ),
    "mutates_later_inputs": (SORTS, "import sys\ndef f_filled(a):\n    for r in sys._getframe(1).f_locals['job']['inputs']: r[0] = []"),
    "drops_inputs": (ONE, "import sys\ndef f_filled(n):\n    del sys._getframe(1).f_locals['job']['inputs'][1:]\n    return 1"),
    "drops_arguments": (SORTS, "import sys\ndef f_filled(a):\n    sys._getframe(1).f_locals['job']['arguments'].clear()"),
    "adds_inputs": (
        ONE,
        "import sys\ndef f_filled(n):\n    L = sys._getframe(1).f_locals['job']['inputs']\n    if len(L) < 5: L.append([1])\n    return 1\n",
    ),
    "unicode_digits": (ONE, "import os\ndef f_filled(n):\n    os.write(3, 'n:١ \\nn:٢ \\nend\\n'.encode()); os._exit(0)"),
    "long_digits": (ONE, "import os\ndef f_filled(n):\n    os.write(3, b'n:' + b'1' * 6000 + b' \\n'); return 0"),
    "nul_bytes": (ONE, "import os\ndef f_filled(n):\n    os.write(3, b'\\0' * 100); return 0"),
    "brackets": (SORTS, "import os\ndef f_filled(n):\n    os.write(3, b'[' * 10**6 + b'\\n'); return 0"),
    "result_none": (ONE, "def f_filled(n): return None"),
    "generator": (ONE, "def f_filled(n):\n    yield n"),
    "bool_for_two": (ONE, "def f_filled(n): return True"),
    "nan": (ONE, "def f_filled(n): return float('nan')"),
    "inf": (ONE, "def f_filled(n): return float('inf')"),
    "str_answer": (ONE, "def f_filled(n): return str(n)"),
}
