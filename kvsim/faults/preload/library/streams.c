/* The disk, for streams of stdio: glibc writes them inside the C library, not by the functions in
 * disk.c. */
#include "control.h"
#include <fcntl.h>
#include <stdarg.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __GLIBC__
/* _IO_ERR_SEEN: what ferror reads. */
#define ERROR_FLAG 0x20
/* _IO_UNBUFFERED. */
#define UNBUFFERED 0x2

/* Whether `more` bytes may go to a stream: they stay in its buffer, or the bytes that it writes now
 * may be written. */
static int may_stream(FILE *file, size_t more, int now) {
    int fd;
    if (!file || (fd = fileno(file)) < 0) return 1;
    size_t held = __fpending(file), space = __fbufsize(file);
    int buffered = !(file->_flags & UNBUFFERED) && !__flbf(file);
    int stays = !now && buffered && held + more < (space ? space : BUFSIZ / 2);
    if (stays || held + more == 0) return 1;
    size_t most = may_write(fd, -1, held + more);
    if (most == held + more) return 1;
    /* A stream cannot report a short write. */
    if (most > 0) refuse(WRITE);
    /* glibc discards what it could not write, too. */
    __fpurge(file);
    file->_flags |= ERROR_FLAG;
    return 0;
}

/* The streams that this library saw being opened: fflush(NULL) and exit write all of them. */
#define STREAMS 64
static FILE *streams[STREAMS];

static void keep_stream(FILE *file) {
    for (int i = 0; file && i < STREAMS; i++) {
        FILE *none = NULL;
        if (__atomic_compare_exchange_n(&streams[i], &none, file, 0, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            return;
    }
}

static void drop_stream(FILE *file) {
    for (int i = 0; i < STREAMS; i++) {
        FILE *found = file;
        __atomic_compare_exchange_n(&streams[i], &found, NULL, 0, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST);
    }
}

/* Before a call that may write what a stream holds, and `more` bytes. */
static struct entry *record_stream(FILE *file, size_t more, int now) {
    int fd;
    if (!on(RECORD) || !file || (fd = fileno(file)) < 0) return NULL;
    size_t held = __fpending(file), space = __fbufsize(file);
    int buffered = !(file->_flags & UNBUFFERED) && !__flbf(file);
    int stays = !now && buffered && held + more < (space ? space : BUFSIZ / 2);
    if (stays || held + more == 0) return NULL;
    /* Where the first byte goes that is held; the position of the file may be behind, after reads. */
    int append = fcntl(fd, F_GETFL) & O_APPEND;
    off_t at = append ? -1 : ftello(file) - (off_t)held;
    return record_unseen(fd, at < 0 ? -1 : at);
}

static void record_streamed(struct entry *entry, int fd) {
    record_read_back(entry, fd, UNKNOWN_SIZE);
}

static int flush_one(FILE *file) {
    REAL(fflush);
    struct entry *entry = record_stream(file, 0, 1);
    int result = real(file);
    record_streamed(entry, fileno(file));
    return result;
}

int fflush(FILE *file) {
    REAL(fflush);
    if (on(DISK) && !may_stream(file, 0, 1)) return EOF;
    if (!on(RECORD)) return real(file);
    if (file) return flush_one(file);
    int result = 0;
    for (int i = 0; i < STREAMS; i++)
        if (streams[i] && flush_one(streams[i]) != 0) result = EOF;
    return real(NULL) == 0 ? result : EOF;
}

/* What exit writes would not be seen. */
__attribute__((destructor)) static void flush_streams(void) {
    for (int i = 0; on(RECORD) && i < STREAMS; i++)
        if (streams[i]) flush_one(streams[i]);
}

int fclose(FILE *file) {
    REAL(fclose);
    if (on(DISK) && !may_stream(file, 0, 1)) {
        int error = errno;
        real(file);
        errno = error;
        return EOF;
    }
    int lost = on(RECORD) && file && fileno(file) >= 0 && __fpending(file) && flush_one(file) != 0;
    drop_stream(file);
    return real(file) == 0 && !lost ? 0 : EOF;
}

/* The flags of open for a mode of fopen. */
static int flags_of(const char *mode) {
    return *mode == 'w' ? O_CREAT | O_TRUNC | O_WRONLY : *mode == 'a' ? O_CREAT | O_WRONLY : 0;
}

FILE *fopen(const char *path, const char *mode) {
    REAL(fopen);
    if (!on(RECORD)) return real(path, mode);
    struct entry *entry = record_open(AT_FDCWD, path, flags_of(mode));
    FILE *file = real(path, mode);
    record_opened(entry, file ? fileno(file) : -1);
    keep_stream(file);
    return file;
}

FILE *fopen64(const char *path, const char *mode) { return fopen(path, mode); }

FILE *freopen(const char *path, const char *mode, FILE *file) {
    REAL(freopen);
    if (!on(RECORD)) return real(path, mode, file);
    if (__fpending(file)) flush_one(file);
    struct entry *entry = path ? record_open(AT_FDCWD, path, flags_of(mode)) : NULL;
    drop_stream(file);
    file = real(path, mode, file);
    record_opened(entry, file ? fileno(file) : -1);
    keep_stream(file);
    return file;
}

FILE *fdopen(int fd, const char *mode) {
    REAL(fdopen);
    FILE *file = real(fd, mode);
    if (on(RECORD)) keep_stream(file);
    return file;
}

int fseeko(FILE *file, off_t at, int whence) {
    REAL(fseeko);
    if (on(RECORD) && __fpending(file)) flush_one(file);
    return real(file, at, whence);
}

int fseek(FILE *file, long at, int whence) { return fseeko(file, at, whence); }

void rewind(FILE *file) {
    REAL(rewind);
    if (on(RECORD) && __fpending(file)) flush_one(file);
    real(file);
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
    REAL(fwrite);
    if (on(DISK) && !may_stream(file, size * count, 0)) return 0;
    struct entry *entry = record_stream(file, size * count, 0);
    size_t result = real(data, size, count, file);
    if (entry) record_streamed(entry, fileno(file));
    return result;
}

int fputs(const char *text, FILE *file) {
    REAL(fputs);
    if (on(DISK) && !may_stream(file, strlen(text), 0)) return EOF;
    struct entry *entry = on(RECORD) ? record_stream(file, strlen(text), 0) : NULL;
    int result = real(text, file);
    if (entry) record_streamed(entry, fileno(file));
    return result;
}

int fputc(int byte, FILE *file) {
    REAL(fputc);
    if (on(DISK) && !may_stream(file, 1, 0)) return EOF;
    struct entry *entry = record_stream(file, 1, 0);
    int result = real(byte, file);
    if (entry) record_streamed(entry, fileno(file));
    return result;
}

#undef putc
int putc(int byte, FILE *file) { return fputc(byte, file); }

static int printed(FILE *file, const char *format, va_list values) {
    REAL(vfprintf);
    struct entry *entry = NULL;
    if (on(DISK | RECORD)) {
        va_list again;
        va_copy(again, values);
        int size = vsnprintf(NULL, 0, format, again);
        va_end(again);
        if (on(DISK) && size > 0 && !may_stream(file, (size_t)size, 0)) return -1;
        entry = record_stream(file, size > 0 ? (size_t)size : 0, 0);
    }
    int result = real(file, format, values);
    if (entry) record_streamed(entry, fileno(file));
    return result;
}

int vfprintf(FILE *file, const char *format, va_list values) {
    return printed(file, format, values);
}

int __vfprintf_chk(FILE *file, int flag, const char *format, va_list values) {
    (void)flag;
    return printed(file, format, values);
}

int fprintf(FILE *file, const char *format, ...) {
    va_list values;
    va_start(values, format);
    int size = printed(file, format, values);
    va_end(values);
    return size;
}

int __fprintf_chk(FILE *file, int flag, const char *format, ...) {
    va_list values;
    (void)flag;
    va_start(values, format);
    int size = printed(file, format, values);
    va_end(values);
    return size;
}

/* By descriptor: formatted here, then written as everything else is. */
static int printed_to(int fd, const char *format, va_list values) {
    REAL(vdprintf);
    char *text;
    if (!on(DISK | WATCH | RECORD)) return real(fd, format, values);
    int size = vasprintf(&text, format, values);
    ssize_t done = 0, part = 0;
    while (done < size && (part = write(fd, text + done, (size_t)(size - done))) >= 0) done += part;
    if (size >= 0) free(text);
    return part < 0 ? -1 : size;
}

int vdprintf(int fd, const char *format, va_list values) { return printed_to(fd, format, values); }

int __vdprintf_chk(int fd, int flag, const char *format, va_list values) {
    (void)flag;
    return printed_to(fd, format, values);
}

int dprintf(int fd, const char *format, ...) {
    va_list values;
    va_start(values, format);
    int size = printed_to(fd, format, values);
    va_end(values);
    return size;
}

int __dprintf_chk(int fd, int flag, const char *format, ...) {
    va_list values;
    (void)flag;
    va_start(values, format);
    int size = printed_to(fd, format, values);
    va_end(values);
    return size;
}

#if defined(__LP64__)
int fseeko64(FILE *, off_t, int) __attribute__((alias("fseeko")));
#endif
#endif
