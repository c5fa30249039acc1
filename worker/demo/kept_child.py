"""The door through which every server of the stage starts: it arms the ties to the parent, then becomes the server.

Run as a script, never imported: `python -I -S kept_child.py PARENT SIGNAL USER GROUP PROGRAM ARGUMENT...` (USER and
GROUP are -1 to stay who we are). It imports nothing of this project, so that it starts in some milliseconds.

A `preexec_fn` would do the same without a second program, but it runs Python between fork and exec, which may hang
in a process with threads.
"""

import ctypes
import os
import sys

_SET_DEATH_SIGNAL = 1
_KEEP_CAPABILITIES = 8
_AMBIENT = 47
_AMBIENT_RAISE = 2
_CAPABILITY_VERSION = 0x20080522
# Read and write where the file modes say no: what lets an unprivileged PostgreSQL live in a folder of root.
_OVERRIDE_MODES = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


def _become(user: int, group: int, *, libc: ctypes.CDLL) -> None:
    """Drop root but keep the two capabilities on files; a container that forbids them goes on without."""
    linux = sys.platform == "linux"
    if linux:
        libc.prctl(_KEEP_CAPABILITIES, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
    if linux:
        mask = sum(1 << bit for bit in _OVERRIDE_MODES)
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
        sets = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
        libc.capset(header, sets)
        for bit in _OVERRIDE_MODES:
            libc.prctl(_AMBIENT, _AMBIENT_RAISE, bit, 0, 0)


def main() -> None:
    """Tie this process to its parent and turn into the program."""
    parent, signal_number, user, group = (int(word) for word in sys.argv[1:5])
    program = sys.argv[5:]
    libc = ctypes.CDLL(None)
    if user >= 0:
        _become(user, group, libc=libc)
    # After the change of user, which would clear it.
    if sys.platform == "linux":
        libc.prctl(_SET_DEATH_SIGNAL, signal_number, 0, 0, 0)
    if os.getppid() != parent:  # it died before the tie held
        sys.exit(1)
    try:
        os.execv(program[0], program)  # noqa: S606 - becoming the server is what this file is for
    except OSError as error:
        sys.exit(f"{program[0]} cannot be run: {error.strerror}")


if __name__ == "__main__":
    main()
