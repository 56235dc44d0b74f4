"""Namespaces through `ctypes`: a root folder, processes, network and, for root, a user without rights.

Landlock and seccomp keep a program from opening files and reaching others; here even their names and states are out of sight.
Standard library only, since `launcher` imports it by path. Linux only; where the system does not allow it, `enter` raises.
"""

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from d_running.confine import LIBC, PR_SET_PDEATHSIG, check
else:
    from confine import LIBC, PR_SET_PDEATHSIG, check  # a neighbour, found by path, as in `launcher`

_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_DEVICES = ("null", "zero", "random", "urandom")


def enter(folder: str, inside: str, visible: list[str]) -> None:
    """Go on in a child process that is the first of its own namespaces; this process waits for it, and ends as it does.

    Args:
        folder: of the work. A folder ``root`` in it becomes the place of the new root.
        inside: where the folder is found from then on.
        visible: what else stays visible, at its own place; what does not exist is passed over.

    Raises:
        OSError: if the system does not allow it.
    """
    user, group = os.geteuid(), os.getegid()
    check(LIBC.unshare(_NEWNS | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET | (_NEWUSER if user else 0)))
    if user:  # who is not root becomes himself in a user namespace of his own
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    pid = os.fork()
    if pid:
        for descriptor in (0, 1):
            os.close(descriptor)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _change_root(folder, inside, visible)


def _change_root(folder: str, inside: str, visible: list[str]) -> None:
    root = os.path.join(folder, "root")  # noqa: PTH118 - pathlib would cost the launcher time
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", root, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=1m")
    for path in visible:
        _show(path, root + path)
    for name in _DEVICES:
        _show(f"/dev/{name}", f"{root}/dev/{name}")
    for name in (inside, "/proc"):
        Path(root + name).mkdir(exist_ok=True)
    _mount(folder, root + inside, None, _MS_BIND | _MS_REC)
    _mount("proc", root + "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    os.chdir(root)
    pivot_root = {"x86_64": 155, "aarch64": 41}[os.uname().machine]
    check(LIBC.syscall(pivot_root, b".", b"."))
    check(LIBC.umount2(b".", _MNT_DETACH))
    os.chdir("/")
    _mount(None, "/", None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)


def _show(path: str, place: str) -> None:
    """Show the file, folder or link ``path`` at ``place``."""
    source, target = Path(path), Path(place)
    if target.exists() or target.is_symlink() or not (source.exists() or source.is_symlink()):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    if source.is_dir():
        target.mkdir()
    else:
        target.touch()
    _mount(path, place, None, _MS_BIND | _MS_REC)


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    *names, data = (None if text is None else os.fsencode(text) for text in (source, target, kind, options))
    check(LIBC.mount(*names, flags, data))


def drop_root(user: int) -> None:
    """Become ``user`` with the group of that number, for good, if this process is root's."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
