"""A room for one command of a submission: own processes, own network (loopback only), own /tmp of limited size, a root that is read-only.

Run as a script (`python -I inside.py SETTINGS.json COMMAND…`), never imported. The first process of the room watches what runs in it, saves
the run directories when the command is over, and ends; the kernel then ends whatever is left. Linux's namespaces, called through libc.
SETTINGS: `apart` (false: no room, only the watch), `bind` (what stands where), `scratch` (folder → bytes: own file systems), `hide` (paths
made empty), `save` (from → to), `seen` (a file), `signatures` (name → texts that betray a program), `umask`, `disk_bytes`; `cpu` (what the
control group spends, and who is in it) and `growth` (folders that may grow by so many bytes), either of them None where not watched.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import sys
import time

CLONE = {"mount": 0x00020000, "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000}
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
PR_SET_PDEATHSIG = 1
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
LOOK_S = 0.04
READ_MAX = 64 << 20
CANNOT = 78  # the room could not be made; the command was not started

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    """A function of libc; raises OSError."""
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def mount(source, target, kind=None, flags=0, data=None):
    words = [word if word is None else word.encode() for word in (source, target, kind)]
    call("mount", *words, ctypes.c_ulong(flags), data and data.encode())


def leave_the_world():
    """Into namespaces of our own; as root of a user namespace where we are not root already."""
    uid, gid = os.geteuid(), os.getegid()
    flags = CLONE["mount"] | CLONE["pid"] | CLONE["net"]
    call("unshare", flags if uid == 0 else flags | CLONE["user"])
    if uid != 0:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    mount(None, "/", flags=MS_REC | MS_PRIVATE)


def furnish(settings):
    """File systems of the room. Whatever is to be bound into it is opened before /tmp is covered."""
    opened = {target: os.open(source, os.O_PATH) for target, source in settings["bind"].items()}
    for folder in ("/tmp", "/var/tmp", "/dev/shm"):
        if os.path.isdir(folder):
            scratch(folder, settings["disk_bytes"], 0o1777)
    for target, number in opened.items():
        place(target, os.path.isdir(f"/proc/self/fd/{number}"))
        mount(f"/proc/self/fd/{number}", target, flags=MS_BIND | MS_REC)
        os.close(number)
    for folder, size in settings["scratch"].items():
        os.makedirs(folder, exist_ok=True)
        scratch(folder, size, 0o711)
    for path in settings["hide"]:
        hide(path)
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV, "hidepid=2")
    with contextlib.suppress(OSError):  # inside a user namespace some roots cannot be remounted
        mount(None, "/", flags=MS_REMOUNT | MS_BIND | MS_RDONLY)


def scratch(folder, size, mode):
    mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, f"size={size},mode={mode:o}")


def place(target, is_folder):
    os.makedirs(target if is_folder else os.path.dirname(target), exist_ok=True)
    if not is_folder and not os.path.exists(target):
        open(target, "w").close()


def hide(path):
    if os.path.isdir(path):
        scratch(path, 4096, 0o700)
    elif os.path.exists(path):
        mount("/dev/null", path, flags=MS_BIND)


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        name = b"lo"
        flags = struct.unpack("16sh", fcntl.ioctl(sock, SIOCGIFFLAGS, struct.pack("16sh", name, 0)))[1]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh", name, flags | IFF_UP))


class Watch:
    """What ran in the room, other than the tester's own processes: names, and which signatures their files hold."""

    def __init__(self, signatures):
        self.signatures = {name: [text.encode() for text in texts] for name, texts in signatures.items()}
        self.programs, self.betrayed, self.files = set(), {}, set()

    def look(self):
        for entry in os.listdir("/proc"):
            if entry.isdigit() and entry != "1":
                with contextlib.suppress(OSError):
                    self.one(entry)

    def one(self, pid):
        exe = os.readlink(f"/proc/{pid}/exe")
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            first = file.read(4096).split(b"\0")[0].decode("utf-8", "replace")
        self.programs.add((exe, first))
        found = os.stat(f"/proc/{pid}/exe")
        if (found.st_dev, found.st_ino) not in self.files:
            self.files.add((found.st_dev, found.st_ino))
            with open(f"/proc/{pid}/exe", "rb") as file:
                self.read(exe, file.read(READ_MAX))

    def read(self, exe, data):
        for name, texts in self.signatures.items():
            if any(text in data for text in texts):
                self.betrayed.setdefault(name, exe)

    def to_json(self):
        return {"programs": sorted(self.programs), "betrayed": self.betrayed}


class Spending:
    """CPU time of all processes of the submission together. Those that spend too much are killed, as by the limit of one process."""

    says = "CPU time of all processes together"

    def __init__(self, cpu):
        self.file, self.key, self.limit, self.members = cpu["file"], cpu["key"], cpu["limit"], cpu["members"]

    def look(self):
        """Whether the limit is passed."""
        with open(self.file) as file:
            pairs = [line.split() for line in file]
        spent = next(int(words[-1]) for words in pairs if words[0] == self.key or not self.key)
        if spent <= self.limit:
            return False
        with open(self.members) as file:
            for pid in filter(None, map(int, file.read().split())):  # 0: one that this namespace cannot name
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return True


class Growth:
    """How much folders outside of the room's own file systems grow. Looked at so rarely that looking costs a tenth of the time."""

    says = "disk"

    def __init__(self, growth):
        self.folders, self.more, self.grace_s = growth["folders"], growth["more"], growth["grace_s"]
        self.first, self.next_at, self.passed_at = self.size(), 0.0, None

    def look(self):
        began = time.monotonic()
        if began < self.next_at:
            return self.passed_at is not None
        if self.passed_at is None and self.size() - self.first > self.more:
            self.passed_at = began
        self.next_at = began + max(LOOK_S, 10 * (time.monotonic() - began))
        return self.passed_at is not None

    def size(self):
        """Bytes on the disk."""
        found = 0
        for top in self.folders:
            for folder, _, files in os.walk(top):
                for name in files:
                    with contextlib.suppress(OSError):
                        found += os.lstat(os.path.join(folder, name)).st_blocks * 512
        return found

    def enforce(self, command):
        """Ask the command to end, later kill it."""
        late = time.monotonic() - self.passed_at >= self.grace_s
        with contextlib.suppress(ProcessLookupError):
            os.kill(command, signal.SIGKILL if late else signal.SIGTERM)


def attended(settings, argv):
    """Run the command and watch until it is over: (its exit status, what was seen)."""
    command = os.fork()
    if command == 0:
        call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.umask(settings["umask"])
        os.execv(argv[0], argv)
    forward_signals(command)
    watch = Watch(settings["signatures"])
    spending = settings["cpu"] and Spending(settings["cpu"])
    growth = settings["growth"] and Growth(settings["growth"])
    reached, status = set(), None
    while status is None:
        status = reap(command)
        if settings["apart"]:
            watch.look()
        for one in filter(None, (spending, growth)):
            with contextlib.suppress(OSError, ValueError, StopIteration):
                if one.look():
                    reached.add(one.says)
        if growth and growth.passed_at is not None and status is None:
            growth.enforce(command)
        time.sleep(LOOK_S if status is None else 0)
    return os.waitstatus_to_exitcode(status) % 256, {**watch.to_json(), "reached": sorted(reached)}


def forward_signals(pid):
    """What asks us to end asks that process."""

    def forward(number, _):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, forward)


def first_process(settings, argv):
    """Furnish the room, run the command in it, watch, save. Never returns."""
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    try:
        furnish(settings)
        loopback_up()
    except OSError as error:
        print(f"inside: the room could not be made: {error}", file=sys.stderr, flush=True)
        os._exit(CANNOT)
    status, seen = attended(settings, argv)
    save(settings, seen)
    os._exit(status)


def reap(command):
    """The command's wait status once it has ended; orphans of the room are taken on the way."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == command:
                found = status
    return found


def save(settings, seen):
    for source, target in settings["save"].items():
        with contextlib.suppress(OSError, shutil.Error):
            shutil.copytree(
                source,
                target,
                symlinks=True,
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns("data", "latest"),
            )
    with contextlib.suppress(OSError), open(settings["seen"], "w") as file:
        json.dump(seen, file)


def main(settings, argv):
    """Exit status of the command, or 78 when the room could not be made."""
    if not settings["apart"]:
        status, seen = attended(settings, argv)
        save(settings, seen)
        return status
    try:
        leave_the_world()
    except OSError as error:
        print(f"inside: this system gives no namespaces: {error}", file=sys.stderr)
        return CANNOT
    room = os.fork()
    if room == 0:
        first_process(settings, argv)
    forward_signals(room)
    return os.waitstatus_to_exitcode(os.waitpid(room, 0)[1]) % 256


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        read = json.load(file)
    sys.exit(main(read, sys.argv[2:]))
