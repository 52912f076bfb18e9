"""What a worker process gives up before it reads anything: a hostile document may take it over.

Each measure holds where the kernel has it, and the others hold without it. Reading files stays allowed, because parsers
are imported when they are needed. Nothing here needs a privilege, and nothing can be undone.
"""

import ctypes
import errno
import os
import signal
import struct
import sys
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITIES = 0x20080522
"""The version of the interface, with two words for each set."""
_DAC_READ_SEARCH = 1 << 2
"""Kept where it was had: root may run a program that others have installed for themselves."""
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_KILL = 0x80000000
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_ANY, _JUMP_IF_FROM, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _FLAGS, _FLAGS_OF_OPENAT = 0, 4, 16, 32
"""Where the number of the call, the architecture and low words of arguments stand in ``struct seccomp_data``."""
_X32 = 0x40000000
"""Calls of the 32-bit variant of x86-64, which have other numbers."""
_THREAD = 0x00010000
"""CLONE_THREAD: a thread of this process, not another process."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

# By name, for x86-64 and for the generic numbers that aarch64 has; None where an architecture has no such call.
_DENIED: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198), "connect": (42, 203), "accept": (43, 202), "sendto": (44, 206), "sendmsg": (46, 211),
    "bind": (49, 200), "listen": (50, 201), "socketpair": (53, 199), "accept4": (288, 242), "sendmmsg": (307, 269),
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "kcmp": (312, 272),
    "creat": (85, None), "truncate": (76, 45), "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276),
    "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None), "link": (86, None), "linkat": (265, 37),
    "unlink": (87, None), "unlinkat": (263, 35), "symlink": (88, None), "symlinkat": (266, 36),
    "mknod": (133, None), "mknodat": (259, 33), "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53),
    "fchmodat2": (452, 452), "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "mount": (165, 40), "umount2": (166, 39), "chroot": (161, 51), "pivot_root": (155, 41), "unshare": (272, 97),
    "setns": (308, 268), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "init_module": (175, 105), "finit_module": (313, 273),
    "kexec_load": (246, 104), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "open_by_handle_at": (304, 265),
    "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "openat2": (437, 437),
}  # fmt: skip
# musl and the C library fall back to ``clone`` and ``openat`` when these do not exist.
_MISSING = {"clone3": 435}
_OPEN, _OPENAT, _CLONE = (2, None), (257, 56), (56, 220)
_SIGNALS = (62, 129), (234, 131)
"""``kill`` and ``tgkill``, for which the first argument says whom."""
_PRLIMIT = (302, 261)
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}


def confine(*, files: int) -> list[str]:
    """Give up what reading a document does not need; return the names of what holds.

    At most ``files`` descriptors, no core dump, no file that grows, no new privileges, and where the kernel filters
    calls (Linux on x86-64 and aarch64) no socket, no process, no change to any file and no signal to another process.
    Of the powers of root the one to read files is kept. A worker cannot read memory and environment of the service
    where there is Landlock, where the service is root with its capabilities, and where it called ``hide_memory``.
    """
    held = [name for name, limit in _limits(files) if _limited(name, limit)]
    if sys.platform == "linux":
        if _prctl(_PR_SET_NO_NEW_PRIVS, 1):
            held.append("no_new_privs")
            if _powerless():
                held.append("capabilities")
            if _fenced():
                held.append("landlock")
            if _filtered():
                held.append("seccomp")
    return held


def die_with(parent: int) -> None:
    """Have the kernel end this process when the thread that started it ends; at once if its process has already."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def hide_memory() -> bool:
    """Let no other process of the same user read the memory, the environment and the descriptors of this one.

    Those hold the keys. It costs core dumps, and debuggers of any user but root. Return whether it holds.
    """
    return sys.platform == "linux" and _prctl(_PR_SET_DUMPABLE, 0)


def _powerless() -> bool:
    """Give up what root may beyond others. A process with fewer capabilities than another cannot look into it."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        header = struct.pack("Ii", _CAPABILITIES, 0)
        sets = ctypes.create_string_buffer(24)
        if library.capget(header, sets) != 0:
            return False
        effective, permitted = struct.unpack_from("II", sets.raw)
        kept = struct.pack("6I", effective & _DAC_READ_SEARCH, permitted & _DAC_READ_SEARCH, 0, 0, 0, 0)
        return bool(library.capset(header, kept) == 0)
    except (OSError, AttributeError):
        return False


def _limits(files: int) -> list[tuple[str, int]]:
    # A document's content belongs in no dump. A size of 0 is no limit on pipes.
    return [("RLIMIT_CORE", 0), ("RLIMIT_FSIZE", 0), ("RLIMIT_NOFILE", files)]


def _limited(name: str, limit: int) -> bool:
    import resource

    with suppress(OSError, ValueError, AttributeError):
        resource.setrlimit(getattr(resource, name), (limit, limit))
        return True
    return False


def _prctl(option: int, *values: int) -> bool:
    with suppress(OSError, AttributeError):
        words = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
        return bool(ctypes.CDLL(None, use_errno=True).prctl(option, *words) == 0)
    return False


def _fenced() -> bool:
    """Landlock without a single exception: nothing written, run or reached, and no look into other processes."""
    try:
        call = ctypes.CDLL(None, use_errno=True).syscall
    except (OSError, AttributeError):
        return False
    call.restype = ctypes.c_long
    version = call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    if version < 1:
        return False
    rules = struct.pack("QQQ", _writing(version), 3 * (version >= 4), 3 * (version >= 6))
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    file = call(_CREATE_RULESET, rules, ctypes.c_size_t(size), ctypes.c_uint(0))
    if file < 0:
        return False
    try:
        return bool(call(_RESTRICT_SELF, ctypes.c_int(file), ctypes.c_uint(0)) == 0)
    finally:
        os.close(file)


def _writing(version: int) -> int:
    """Every right to files of a version of Landlock but that to read a file and to list a folder."""
    rights = 13 + (version >= 2) + (version >= 3) + (version >= 5)
    return (1 << rights) - 1 & ~(_READ_FILE | _READ_DIR)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _filtered() -> bool:
    found = _ARCHITECTURES.get(os.uname().machine)
    if found is None or struct.calcsize("P") != 8:
        return False
    steps = _steps(*found)
    code = ctypes.create_string_buffer(b"".join(steps))
    program = _Program(len(steps), ctypes.cast(code, ctypes.c_void_p))
    return _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program))


def _steps(architecture: int, column: int) -> list[bytes]:
    """Return the filter as classic BPF. Arguments are only looked at where a call is allowed by half."""
    steps = [
        _step(_LOAD, _ARCHITECTURE), _step(_JUMP_IF_EQUAL, architecture, 1, 0), _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER), _step(_JUMP_IF_FROM, _X32, 0, 1), _step(_RETURN, _REFUSE),
    ]  # fmt: skip
    for numbers in _DENIED.values():
        steps += _refusing(numbers[column])
    for number in _MISSING.values():
        steps += [_step(_JUMP_IF_EQUAL, number, 0, 1), _step(_RETURN, 0x00050000 | errno.ENOSYS)]
    steps += _by_bits(_OPEN[column], 24, _WRITES, refuses_when_set=True)
    steps += _by_bits(_OPENAT[column], _FLAGS_OF_OPENAT, _WRITES, refuses_when_set=True)
    steps += _by_bits(_CLONE[column], _FLAGS, _THREAD, refuses_when_set=False)
    for numbers in _SIGNALS:
        steps += _by_target(numbers[column], os.getpid())
    steps += _by_target(_PRLIMIT[column], 0)
    return [*steps, _step(_RETURN, _ALLOW)]


def _refusing(number: int | None) -> list[bytes]:
    return [] if number is None else [_step(_JUMP_IF_EQUAL, number, 0, 1), _step(_RETURN, _REFUSE)]


def _by_bits(number: int | None, place: int, bits: int, *, refuses_when_set: bool) -> list[bytes]:
    if number is None:
        return []
    decision = (_REFUSE, _ALLOW) if refuses_when_set else (_ALLOW, _REFUSE)
    return [
        _step(_JUMP_IF_EQUAL, number, 0, 4), _step(_LOAD, place), _step(_JUMP_IF_ANY, bits, 0, 1),
        _step(_RETURN, decision[0]), _step(_RETURN, decision[1]),
    ]  # fmt: skip


def _by_target(number: int, target: int) -> list[bytes]:
    return [
        _step(_JUMP_IF_EQUAL, number, 0, 4), _step(_LOAD, _FLAGS), _step(_JUMP_IF_EQUAL, target, 0, 1),
        _step(_RETURN, _ALLOW), _step(_RETURN, _REFUSE),
    ]  # fmt: skip


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
