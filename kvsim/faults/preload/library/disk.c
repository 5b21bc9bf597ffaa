/* The disk: files by their descriptors. Full, failing or slow, below the node's data directory. */
#include "control.h"
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* --- whose file, and what the rule says of it ----------------------------------------------------------------------- */

static int below_data(const char *path) {
    size_t length = READ(data_bytes);
    return !strncmp(path, page->data, length) && path[length] == '/';
}

static int is_ours(int fd) {
    char link[32], path[PATH_MAX];
    int kept = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = kept;
    if (length <= 0) return 0;
    path[length] = 0;
    return below_data(path);
}

static int drawn(void) {
    uint64_t x = READ(chance);
    if (x >> 32) return 1;
    uint64_t z = COUNT(seed, 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return ((z ^ (z >> 31)) >> 32) < x;
}

int refuse(uint64_t which) {
    int error = (int)READ(error);
    if (which == SYNC) COUNT(syncs_refused, 1); else COUNT(writes_refused, 1);
    __atomic_store_n(&page->last_error, (uint64_t)error, __ATOMIC_RELAXED);
    return errno = error;
}

/* How many of `size` bytes at `at` (-1: where the file stands) a full disk still takes: those that grow nothing. */
static size_t room(int fd, off_t at, size_t size) {
    struct stat seen;
    int kept = errno, flags = fcntl(fd, F_GETFL);
    size_t left = 0;
    if (fstat(fd, &seen) == 0) {
        if (!S_ISREG(seen.st_mode)) left = size;
        else if (!(flags & O_APPEND)) {
            if (at < 0) at = lseek(fd, 0, SEEK_CUR);
            if (at >= 0 && at < seen.st_size) left = (size_t)(seen.st_size - at);
        }
    }
    errno = kept;
    return left < size ? left : size;
}

/* Bytes that may be written now, `size` at most; 0 with errno set when the call is to fail. */
size_t may_write(int fd, off_t at, size_t size) {
    uint64_t how = READ(how);
    if (!on(DISK) || how == SLOW || !(READ(calls) & WRITE) || !is_ours(fd)) return size;
    COUNT(writes_offered, 1);
    if (how == FULL) {
        size_t left = room(fd, at, size);
        if (left == 0 && size > 0) refuse(WRITE);
        return left;
    }
    return drawn() && refuse(WRITE) ? 0 : size;
}

static ssize_t done(int fd, ssize_t result) {
    if (result >= 0 && on(WATCH) && is_ours(fd)) COUNT(passed, 1);
    return result;
}

/* Whether a sync is to fail (errno is set); a slow disk takes its time here. */
static int fails_to_sync(int fd) {
    if (!on(DISK) || READ(how) == FULL || !(READ(calls) & SYNC) || !is_ours(fd)) return 0;
    COUNT(syncs_offered, 1);
    if (READ(how) == FAILING) return drawn() && refuse(SYNC);
    uint64_t wait = READ(delay_ns);
    struct timespec left = {(time_t)(wait / NS), (long)(wait % NS)}, from, to;
    int kept = errno;
    clock_gettime(CLOCK_MONOTONIC, &from);
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
    clock_gettime(CLOCK_MONOTONIC, &to);
    errno = kept;
    COUNT(syncs_delayed, 1);
    COUNT(delayed_ns, (uint64_t)((to.tv_sec - from.tv_sec) * NS + to.tv_nsec - from.tv_nsec));
    return 0;
}

/* A descriptor opened with O_SYNC or O_DSYNC syncs with every write. */
static int fails_to_sync_too(int fd) {
    int flags = on(DISK) ? fcntl(fd, F_GETFL) : -1;
    return flags >= 0 && (flags & O_DSYNC) && fails_to_sync(fd);
}

/* --- descriptors ---------------------------------------------------------------------------------------------------- */

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    if (on(DISK | WATCH)) {
        size_t most = may_write(fd, -1, size);
        if ((most == 0 && size > 0) || fails_to_sync_too(fd)) return -1;
        return done(fd, real(fd, data, most));
    }
    return real(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    REAL(pwrite);
    if (on(DISK | WATCH)) {
        size_t most = may_write(fd, at, size);
        if ((most == 0 && size > 0) || fails_to_sync_too(fd)) return -1;
        return done(fd, real(fd, data, most, at));
    }
    return real(fd, data, size, at);
}

static size_t bytes_of(const struct iovec *parts, int count) {
    size_t size = 0;
    for (int i = 0; i < count; i++) size += parts[i].iov_len;
    return size;
}

/* The first part that has bytes, cut to what fits: a short write. */
static struct iovec first_of(const struct iovec *parts, int count, size_t most) {
    int i = 0;
    while (i < count - 1 && !parts[i].iov_len) i++;
    return (struct iovec){parts[i].iov_base, parts[i].iov_len < most ? parts[i].iov_len : most};
}

#define VECTOR(name, at, parameters, whole, part)                                                        \
    ssize_t name parameters {                                                                            \
        REAL(name);                                                                                      \
        if (on(DISK | WATCH)) {                                                                          \
            size_t size = bytes_of(parts, count), most = may_write(fd, at, size);                        \
            if ((most == 0 && size > 0) || fails_to_sync_too(fd)) return -1;                             \
            if (most < size) { struct iovec first = first_of(parts, count, most); return done(fd, real part); } \
            return done(fd, real whole);                                                                 \
        }                                                                                                \
        return real whole;                                                                               \
    }

VECTOR(writev, -1, (int fd, const struct iovec *parts, int count), (fd, parts, count), (fd, &first, 1))
VECTOR(pwritev, offset, (int fd, const struct iovec *parts, int count, off_t offset),
       (fd, parts, count, offset), (fd, &first, 1, offset))
VECTOR(pwritev2, offset, (int fd, const struct iovec *parts, int count, off_t offset, int flags),
       (fd, parts, count, offset, flags), (fd, &first, 1, offset, flags))

#define SYNCING(name, parameters, arguments)                          \
    int name parameters {                                             \
        REAL(name);                                                   \
        if (on(DISK | WATCH)) {                                       \
            if (fails_to_sync(fd)) return -1;                         \
            return (int)done(fd, real arguments);                     \
        }                                                             \
        return real arguments;                                        \
    }

SYNCING(fsync, (int fd), (fd))
SYNCING(fdatasync, (int fd), (fd))
SYNCING(syncfs, (int fd), (fd))
SYNCING(sync_file_range, (int fd, off_t at, off_t size, unsigned int flags), (fd, at, size, flags))

/* Room that is asked for ahead: nothing to write, but nothing left of a full disk either. */
static int may_grow(int fd, off_t end) {
    struct stat seen;
    if (!on(DISK) || !is_ours(fd) || !(READ(calls) & WRITE) || READ(how) == SLOW) return 1;
    if (fstat(fd, &seen) == 0 && end <= seen.st_size) return 1;
    COUNT(writes_offered, 1);
    return !((READ(how) == FULL || drawn()) && refuse(WRITE));
}

int ftruncate(int fd, off_t size) {
    REAL(ftruncate);
    return on(DISK) && !may_grow(fd, size) ? -1 : real(fd, size);
}

int fallocate(int fd, int mode, off_t at, off_t size) {
    REAL(fallocate);
    return on(DISK) && !(mode & ~FALLOC_FL_KEEP_SIZE) && !may_grow(fd, at + size) ? -1 : real(fd, mode, at, size);
}

int posix_fallocate(int fd, off_t at, off_t size) {
    REAL(posix_fallocate);
    if (on(DISK)) {
        int kept = errno;
        if (!may_grow(fd, at + size)) { int error = errno; errno = kept; return error; }
    }
    return real(fd, at, size);
}

/* --- new files ------------------------------------------------------------------------------------------------------ */

static int may_create(int folder, const char *path, int flags) {
    char whole[PATH_MAX], parent[2 * PATH_MAX];
    struct stat seen;
    int kept = errno;
    if (!on(DISK) || !(flags & O_CREAT) || READ(how) != FULL || fstatat(folder, path, &seen, 0) == 0) return 1;
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash) *slash = 0;
    const char *name = slash ? (*parent ? parent : "/") : ".";
    if (folder != AT_FDCWD && *name != '/') {
        char beside[sizeof parent];
        snprintf(beside, sizeof beside, "%s", name);
        if (snprintf(parent, sizeof parent, "/proc/self/fd/%d/%s", folder, beside) < 0) return 1;
        name = parent;
    }
    int there = realpath(name, whole) != NULL;
    errno = kept;
    if (!there) return 1;
    size_t length = strlen(whole);
    if (length < sizeof whole - 1) { whole[length] = '/'; whole[length + 1] = 0; }
    if (!below_data(whole)) return 1;
    COUNT(writes_offered, 1);
    return !refuse(WRITE);
}

#define MODE(flags) mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); }

int open(const char *path, int flags, ...) {
    REAL(open);
    MODE(flags)
    return on(DISK) && !may_create(AT_FDCWD, path, flags) ? -1 : real(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    REAL(openat);
    MODE(flags)
    return on(DISK) && !may_create(folder, path, flags) ? -1 : real(folder, path, flags, mode);
}

int creat(const char *path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* --- the names for large files, which mean the same where an offset has 64 bits ---------------------------------------- */

#if defined(__LP64__) && defined(__GLIBC__)
ssize_t pwrite64(int, const void *, size_t, off_t) __attribute__((alias("pwrite")));
ssize_t pwritev64(int, const struct iovec *, int, off_t) __attribute__((alias("pwritev")));
ssize_t pwritev64v2(int, const struct iovec *, int, off_t, int) __attribute__((alias("pwritev2")));
int ftruncate64(int, off_t) __attribute__((alias("ftruncate")));
int fallocate64(int, int, off_t, off_t) __attribute__((alias("fallocate")));
int posix_fallocate64(int, off_t, off_t) __attribute__((alias("posix_fallocate")));
int open64(const char *, int, ...) __attribute__((alias("open")));
int openat64(int, const char *, int, ...) __attribute__((alias("openat")));
int creat64(const char *, mode_t) __attribute__((alias("creat")));
#endif
