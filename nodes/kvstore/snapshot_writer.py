"""Write a snapshot from the previous snapshot and the sealed log, as a separate process.

    python -I -S snapshot_writer.py FOLDER INDEX OUTPUT

So the node does not wait. It reads files and writes one new file; the node renames that file when
this process ends with status 0. It ends when the node has ended.
"""

import posix
import sys

HERE = __file__.rpartition("/")[0] or "."
sys.path.insert(0, HERE + "/..")

from kvstore import record, snapshot  # noqa: E402  (the path has to be set first)
from kvstore.errors import StartError  # noqa: E402
from kvstore.log import PREFIX  # noqa: E402
from kvstore.segment import BadSegment, Segment  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def state_at(folder: str, up_to: int) -> tuple[dict[bytes, bytes], int, int, int]:
    """Return ({key: value}, index, term, chain) at exactly `up_to`, from the files of a folder.

    Raises StartError, BadSnapshot, BadSegment, BadRecord, OSError.
    """
    data, index, term, chain = read_snapshot(folder)
    for name in sorted(name for name in posix.listdir(folder) if name.startswith(PREFIX)):
        if int(name[len(PREFIX) :]) > up_to:
            break
        segment = Segment.open(f"{folder}/{name}")
        for payload, record_term, last, record_chain in read_records(segment, index, up_to):
            apply(data, payload)
            index, term, chain = last, record_term, record_chain
    if index != up_to:
        raise StartError(f"the log ends at index {index}, not at {up_to}")
    return data, index, term, chain


def read_snapshot(folder: str) -> tuple[dict[bytes, bytes], int, int, int]:
    """Return ({key: value}, index, term, chain) of the newest snapshot, zeros without one.

    Raises StartError, BadSnapshot, OSError.
    """
    file = snapshot.open_newest(folder)
    if file is None:
        return {}, 0, 0, 0
    try:
        return file.read_all(), file.index, file.term, file.chain
    finally:
        file.close()


def read_records(
    segment: Segment, after: int, up_to: int
) -> "Iterator[tuple[bytes, int, int, int]]":
    """Yield (payload, term, last index, chain) of the records after `after`, up to `up_to`."""
    data, offset, chain = segment.read_all(), segment.end, segment.chain
    segment.close()
    while offset < len(data):
        payload, term, count, first, chain, offset = record.decode(data, offset, chain)
        last = first + count - 1
        if last > up_to:
            return
        if last > after:
            yield payload, term, last, chain
        if last == up_to:
            return


def apply(data: dict[bytes, bytes], payload: bytes) -> None:
    """Apply one record's commands to {key: value}."""
    pairs = record.decode_pairs(payload)
    if pairs is not None:
        data.update(pairs)
        return
    for key, value in record.decode_commands(payload):
        if value is None:
            data.pop(key, None)
        else:
            data[key] = value


def main(argv: list[str]) -> int:
    """Write the snapshot; return 0, or 1 after a line on stderr."""
    folder, up_to, output = argv
    # the node's clients have priority
    posix.nice(10)
    parent = posix.getppid()
    try:
        pieces = snapshot.encode(*state_at(folder, int(up_to)))
        snapshot.write_file(output, pieces, lambda: posix.getppid() == parent)
    except (
        StartError,
        snapshot.BadSnapshot,
        BadSegment,
        record.BadRecord,
        OSError,
    ) as error:
        sys.stderr.write(f"[node] snapshot at {up_to} failed: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
