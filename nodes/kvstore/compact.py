"""Make a snapshot out of the one before and the sealed log behind it: a process of its own, so that the node never waits.

    python -I -S compact.py FOLDER UP_TO_INDEX OUTPUT

Reads files only and writes one new file; the node renames it when this process ends with status 0. It ends by
itself when the node is gone.
"""

import posix
import sys

HERE = __file__.rpartition("/")[0] or "."
sys.path.insert(0, HERE + "/..")

from kvstore import record, snapshot  # noqa: E402  (the path has to be set first)
from kvstore.errors import StartError  # noqa: E402
from kvstore.log import PREFIX  # noqa: E402
from kvstore.segment import BadSegment, Segment  # noqa: E402


def state_at(folder, up_to):
    """Return ({key: value}, index, epoch, chain) at exactly `up_to`, from the files of a folder; raises StartError."""
    data, index, epoch, chain = snapshot.load(folder)
    for name in sorted(name for name in posix.listdir(folder) if name.startswith(PREFIX)):
        if int(name[len(PREFIX) :]) > up_to:
            break
        for payload, epoch_now, last, chain_now in records(Segment.open(f"{folder}/{name}"), index, up_to):
            apply(data, payload)
            index, epoch, chain = last, epoch_now, chain_now
    if index != up_to:
        raise StartError(f"the log ends at index {index}, not at {up_to}")
    return data, index, epoch, chain


def records(segment, after, up_to):
    """Yield (payload, epoch, last index, chain) of a segment's records behind `after`, up to `up_to`."""
    raw, at, chain = segment.read_all(), segment.end, segment.chain
    segment.close()
    while at < len(raw):
        payload, epoch, count, first, chain, at = record.decode(raw, at, chain)
        last = first + count - 1
        if last > up_to:
            return
        if last > after:
            yield payload, epoch, last, chain
        if last == up_to:
            return


def apply(data, payload):
    """Apply one record's commands to {key: value}."""
    found = record.sets(payload)
    if found:
        data.update(zip(*found, strict=True))
        return
    for key, value in record.commands(payload):
        if value is None:
            data.pop(key, None)
        else:
            data[key] = value


def main(argv):
    """Write the snapshot; return the exit status: 0 done, 1 not (said on stderr)."""
    folder, up_to, output = argv
    posix.nice(10)  # the node's clients come first
    parent = posix.getppid()
    try:
        snapshot.write_file(
            output, snapshot.encode(*state_at(folder, int(up_to))), lambda: posix.getppid() == parent
        )
    except (StartError, BadSegment, record.BadRecord, OSError) as error:
        sys.stderr.write(f"[node] snapshot at {up_to} failed: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
