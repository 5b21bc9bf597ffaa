"""RESP2, pure: the protocol of Redis, as much of it as a server needs. Bytes in, values out; knows no sockets.

`decode` reads any stream of requests, in the array form or inline. `run_of_sets` and `run_of_gets` read what
busy clients really send, a pipeline of one kind, without a loop in Python: the bytes are split at their line
ends once, and the pieces are right if they stand in rows of seven (or five) and every length that was
announced is the length found. A value that holds a line end breaks the row and is left to `decode`.
"""

from kvstore.limits import ARRAY_WORDS_MAX, INLINE_BYTES_MAX, REQUEST_BYTES_MAX, VALUE_BYTES_MAX

WORD_BYTES_MAX = VALUE_BYTES_MAX + 1024  # a word longer than this is refused before it is read

OK = b"+OK\r\n"
PONG = b"+PONG\r\n"
NULL = b"$-1\r\n"

SIZES_KNOWN = 4096
LENGTHS = {b"$%d" % size: size for size in range(64)}  # grown by `length_of`


class BadRequest(Exception):
    """The stream cannot be understood any further; `str(error)` says why."""


def length_of(word):
    """Return the number in a header such as `$16`; -1 when it is none. Remembers small ones."""
    known = LENGTHS.get(word)
    if known is not None:
        return known
    digits = word[1:]
    if word[:1] != b"$" or not digits.isdigit() or len(digits) > 9:
        return -1
    size = int(digits)
    if size < SIZES_KNOWN and b"$%d" % size == word:
        LENGTHS[word] = size
    return size


def _fit(headers, words):
    """Whether every word is as long as its header says; quickest when all headers are the same."""
    sizes = list(map(len, words))
    first = headers[0]
    if headers.count(first) == len(headers):
        return sizes.count(length_of(first)) == len(sizes)
    known = list(map(LENGTHS.get, headers))
    return (list(map(length_of, headers)) if None in known else known) == sizes


def run_of_sets(data):
    """Return (keys, values, rest) when the data is `SET key value` again and again, rest what is unfinished; else None."""
    words = data.split(b"\r\n")
    if len(words) == 8:
        return _one_set(words)
    whole = len(words) - 1
    if not whole or whole % 7 or words[-1]:
        return None
    keys, values = words[4::7], words[6::7]
    if (
        words[0:whole:7].count(b"*3") * 7 == whole
        and words[2::7].count(b"SET") * 7 == whole
        and words[1::7].count(b"$3") * 7 == whole
        and _fit(words[3::7], keys)
        and _fit(words[5::7], values)
    ):
        return keys, values, b""
    return None


def _one_set(words):
    array, three, verb, key_size, key, value_size, value, rest = words
    if array == b"*3" and verb == b"SET" and three == b"$3" and not rest:
        key_fits = (LENGTHS.get(key_size) or length_of(key_size)) == len(key)
        if key_fits and (LENGTHS.get(value_size) or length_of(value_size)) == len(value):
            return (key,), (value,), rest
    return None


def run_of_gets(data):
    """Return the keys when the data is `GET key` again and again and nothing is unfinished; else None."""
    words = data.split(b"\r\n")
    whole = len(words) - 1
    if not whole or whole % 5 or words[-1]:
        return None
    keys = words[4::5]
    if (
        words[0:whole:5].count(b"*2") * 5 == whole
        and words[2::5].count(b"GET") * 5 == whole
        and words[1::5].count(b"$3") * 5 == whole
        and _fit(words[3::5], keys)
    ):
        return keys
    return None


def decode(data):
    """Return (requests, rest, needed): each request a list of words, rest what is unfinished.

    `needed` is how many bytes `rest` must have at least before looking again is of use. Raises BadRequest,
    its attribute `done` holding the requests that came before, when the stream cannot be framed any further.
    """
    done, at, needed = [], 0, 1
    try:
        while at < len(data):
            words, after = _array(data, at) if data[at] == 42 else _inline(data, at)
            if words is None:
                needed = after - at
                break
            at = after
            if words:
                done.append(words)
    except BadRequest as error:
        error.done = done
        raise
    return done, data[at:], needed


def _line(data, at, bytes_max):
    """Return (the line at `at`, where the next begins), or (None, how far the data must reach)."""
    end = data.find(b"\r\n", at)
    if end >= 0 and end - at <= bytes_max:
        return data[at:end], end + 2
    if end >= 0 or len(data) - at > bytes_max:
        raise BadRequest(f"a line of the protocol has more than {bytes_max} bytes")
    return None, len(data) + 1


def _array(data, at):
    start = at
    line, at = _line(data, at, 16)
    if line is None:
        return None, at
    count = line[1:]
    if not count.isdigit() or int(count) > ARRAY_WORDS_MAX:
        raise BadRequest(f"a request has 0 to {ARRAY_WORDS_MAX} words, this one says {count[:20]!r}")
    words = []
    for _ in range(int(count)):
        line, at = _line(data, at, 16)
        if line is None:
            return None, at
        size = length_of(line)
        if not 0 <= size <= WORD_BYTES_MAX:
            raise BadRequest(
                f"a word has 0 to {WORD_BYTES_MAX} bytes and a header such as $5, not {line[:20]!r}"
            )
        end = at + size
        if end + 2 - start > REQUEST_BYTES_MAX:
            raise BadRequest(f"a request has at most {REQUEST_BYTES_MAX} bytes")
        if end + 2 > len(data):
            return None, end + 2
        if data[end : end + 2] != b"\r\n":
            raise BadRequest("a word does not end where its header says")
        words.append(data[at:end])
        at = end + 2
    return words, at


def _inline(data, at):
    end = data.find(b"\n", at, at + INLINE_BYTES_MAX + 1)
    if end >= 0:
        return data[at:end].split(), end + 1
    if len(data) - at > INLINE_BYTES_MAX:
        raise BadRequest(f"an inline request has at most {INLINE_BYTES_MAX} bytes")
    return None, len(data) + 1


def encode_bulk(value):
    """Return a string of any bytes."""
    return b"$%d\r\n%b\r\n" % (len(value), value)


def encode_int(number):
    """Return an integer reply."""
    return b":%d\r\n" % number


def encode_array(items):
    """Return an array of replies that are encoded already."""
    return b"*%d\r\n%b" % (len(items), b"".join(items))


def encode_error(text, kind="ERR"):
    """Return an error: `-KIND text`; line ends in the text become spaces."""
    return f"-{kind} {text}\r\n".replace("\r\n", " ").replace("\n", " ").encode().rstrip() + b"\r\n"
