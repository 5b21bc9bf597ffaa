/* The disk, for calls with file descriptors: full, failing or slow below the data directory. */
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

/* --- which files, and what the rule does to a call ------------------------------------------- */

int below_data(const char *path) {
    size_t length = READ(data_dir_bytes);
    return !strncmp(path, page->data_dir, length) && path[length] == '/';
}

static int is_data_file(int fd) {
    char link[32], path[PATH_MAX];
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (length <= 0) return 0;
    path[length] = 0;
    return below_data(path);
}

static int draw_failure(void) {
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

/* How many of `size` bytes at `at` (-1: at the file's position) a full disk accepts: those that do
 * not make the file longer. */
static size_t bytes_that_fit(int fd, off_t at, size_t size) {
    struct stat status;
    int saved = errno, flags = fcntl(fd, F_GETFL);
    size_t left = 0;
    if (fstat(fd, &status) == 0) {
        if (!S_ISREG(status.st_mode)) left = size;
        else if (!(flags & O_APPEND)) {
            if (at < 0) at = lseek(fd, 0, SEEK_CUR);
            if (at >= 0 && at < status.st_size) left = (size_t)(status.st_size - at);
        }
    }
    errno = saved;
    return left < size ? left : size;
}

size_t may_write(int fd, off_t at, size_t size) {
    uint64_t how = READ(how);
    if (!on(DISK) || how == SLOW || !(READ(calls) & WRITE) || !is_data_file(fd)) return size;
    COUNT(writes_offered, 1);
    if (how == FULL) {
        size_t left = bytes_that_fit(fd, at, size);
        if (left == 0 && size > 0) refuse(WRITE);
        return left;
    }
    return draw_failure() && refuse(WRITE) ? 0 : size;
}

static ssize_t count_success(int fd, ssize_t result) {
    if (result >= 0 && on(WATCH) && is_data_file(fd)) COUNT(succeeded, 1);
    return result;
}

/* Whether a sync has to fail (errno is set). A slow disk waits here. */
static int fails_to_sync(int fd) {
    if (!on(DISK) || READ(how) == FULL || !(READ(calls) & SYNC) || !is_data_file(fd)) return 0;
    COUNT(syncs_offered, 1);
    if (READ(how) == FAILING) return draw_failure() && refuse(SYNC);
    uint64_t wait = READ(delay_ns);
    struct timespec left = {(time_t)(wait / NS), (long)(wait % NS)}, from, to;
    int saved = errno;
    clock_gettime(CLOCK_MONOTONIC, &from);
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
    clock_gettime(CLOCK_MONOTONIC, &to);
    errno = saved;
    COUNT(syncs_delayed, 1);
    COUNT(delayed_ns, (uint64_t)((to.tv_sec - from.tv_sec) * NS + to.tv_nsec - from.tv_nsec));
    return 0;
}

/* As fails_to_sync, for a descriptor that was opened with O_SYNC or O_DSYNC: each write syncs. */
static int write_fails_to_sync(int fd) {
    int flags = on(DISK) ? fcntl(fd, F_GETFL) : -1;
    return flags >= 0 && (flags & O_DSYNC) && fails_to_sync(fd);
}

/* --- descriptors ----------------------------------------------------------------------------- */

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    if (on(DISK | WATCH | RECORD)) {
        size_t most = may_write(fd, -1, size);
        if ((most == 0 && size > 0) || write_fails_to_sync(fd)) return -1;
        struct iovec part = {(void *)data, most};
        struct entry *entry = record_write(fd, -1, &part, 1, 0);
        ssize_t result = real(fd, data, most);
        record_written(entry, fd, result);
        return count_success(fd, result);
    }
    return real(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    REAL(pwrite);
    if (on(DISK | WATCH | RECORD)) {
        size_t most = may_write(fd, at, size);
        if ((most == 0 && size > 0) || write_fails_to_sync(fd)) return -1;
        struct iovec part = {(void *)data, most};
        struct entry *entry = record_write(fd, at, &part, 1, 0);
        ssize_t result = real(fd, data, most, at);
        record_written(entry, fd, result);
        return count_success(fd, result);
    }
    return real(fd, data, size, at);
}

static size_t bytes_of(const struct iovec *parts, int count) {
    size_t size = 0;
    for (int i = 0; i < count; i++) size += parts[i].iov_len;
    return size;
}

/* The first part that is not empty, cut to what fits: a short write. */
static struct iovec first_of(const struct iovec *parts, int count, size_t most) {
    int i = 0;
    while (i < count - 1 && !parts[i].iov_len) i++;
    return (struct iovec){parts[i].iov_base, parts[i].iov_len < most ? parts[i].iov_len : most};
}

#define VECTOR(name, at, flags, parameters, whole, part)                          \
    ssize_t name parameters {                                                     \
        REAL(name);                                                               \
        if (on(DISK | WATCH | RECORD)) {                                          \
            size_t size = bytes_of(parts, count), most = may_write(fd, at, size); \
            if ((most == 0 && size > 0) || write_fails_to_sync(fd)) return -1;    \
            struct iovec first = first_of(parts, count, most);                    \
            int cut = most < size;                                                \
            struct entry *entry =                                                 \
                record_write(fd, at, cut ? &first : parts, cut ? 1 : count, flags); \
            ssize_t result = cut ? real part : real whole;                        \
            record_written(entry, fd, result);                                    \
            return count_success(fd, result);                                     \
        }                                                                         \
        return real whole;                                                        \
    }

VECTOR(writev, -1, 0, (int fd, const struct iovec *parts, int count),
       (fd, parts, count), (fd, &first, 1))
VECTOR(pwritev, offset, 0, (int fd, const struct iovec *parts, int count, off_t offset),
       (fd, parts, count, offset), (fd, &first, 1, offset))
VECTOR(pwritev2, offset, flags,
       (int fd, const struct iovec *parts, int count, off_t offset, int flags),
       (fd, parts, count, offset, flags), (fd, &first, 1, offset, flags))

#define SYNCING(name, data_only)                            \
    int name(int fd) {                                      \
        REAL(name);                                         \
        if (on(DISK | WATCH | RECORD)) {                    \
            if (fails_to_sync(fd)) return -1;               \
            struct entry *entry = record_sync(fd, data_only); \
            int result = real(fd);                          \
            record_done(entry, result);                     \
            return (int)count_success(fd, result);          \
        }                                                   \
        return real(fd);                                    \
    }

SYNCING(fsync, 0)
SYNCING(fdatasync, 1)

int syncfs(int fd) {
    REAL(syncfs);
    if (on(DISK | WATCH | RECORD)) {
        if (fails_to_sync(fd)) return -1;
        struct entry *entry = record_all();
        int result = real(fd);
        record_done(entry, result);
        return (int)count_success(fd, result);
    }
    return real(fd);
}

/* It promises nothing: neither the size of a file nor the disk's own cache is synced. */
int sync_file_range(int fd, off_t at, off_t size, unsigned int flags) {
    REAL(sync_file_range);
    if (on(DISK | WATCH) && fails_to_sync(fd)) return -1;
    return (int)count_success(fd, real(fd, at, size, flags));
}

/* Allocation of space without data: a full disk refuses it as well. */
static int may_grow(int fd, off_t end) {
    struct stat status;
    if (!on(DISK) || !is_data_file(fd) || !(READ(calls) & WRITE) || READ(how) == SLOW) return 1;
    if (fstat(fd, &status) == 0 && end <= status.st_size) return 1;
    COUNT(writes_offered, 1);
    return !((READ(how) == FULL || draw_failure()) && refuse(WRITE));
}

int ftruncate(int fd, off_t size) {
    REAL(ftruncate);
    if (on(DISK) && !may_grow(fd, size)) return -1;
    struct entry *entry = record_size(fd, size);
    int result = real(fd, size);
    record_done(entry, result);
    return result;
}

int fallocate(int fd, int mode, off_t at, off_t size) {
    REAL(fallocate);
    int grows = !(mode & ~FALLOC_FL_KEEP_SIZE);
    if (on(DISK) && grows && !may_grow(fd, at + size)) return -1;
    struct entry *entry = record_allocate(fd, mode, at, size);
    int result = real(fd, mode, at, size);
    record_done(entry, result);
    return result;
}

int posix_fallocate(int fd, off_t at, off_t size) {
    REAL(posix_fallocate);
    if (on(DISK)) {
        int saved = errno;
        if (!may_grow(fd, at + size)) { int error = errno; errno = saved; return error; }
    }
    struct entry *entry = record_allocate(fd, 0, at, size);
    int result = real(fd, at, size);
    record_done(entry, result ? -1 : 0);
    return result;
}

/* --- new files ------------------------------------------------------------------------------- */

static int may_create(int folder, const char *path, int flags) {
    char whole[PATH_MAX], parent[2 * PATH_MAX];
    struct stat status;
    int saved = errno;
    if (!on(DISK) || !(flags & O_CREAT) || READ(how) != FULL) return 1;
    if (fstatat(folder, path, &status, 0) == 0) return 1;
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
    int exists = realpath(name, whole) != NULL;
    errno = saved;
    if (!exists) return 1;
    size_t length = strlen(whole);
    if (length < sizeof whole - 1) { whole[length] = '/'; whole[length + 1] = 0; }
    if (!below_data(whole)) return 1;
    COUNT(writes_offered, 1);
    return !refuse(WRITE);
}

#define MODE(flags)                          \
    mode_t mode = 0;                         \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { \
        va_list more;                        \
        va_start(more, flags);               \
        mode = va_arg(more, mode_t);         \
        va_end(more);                        \
    }

int open(const char *path, int flags, ...) {
    REAL(open);
    MODE(flags)
    if (on(DISK) && !may_create(AT_FDCWD, path, flags)) return -1;
    struct entry *entry = record_open(AT_FDCWD, path, flags);
    int fd = real(path, flags, mode);
    if (on(RECORD)) record_opened(entry, fd);
    return fd;
}

int openat(int folder, const char *path, int flags, ...) {
    REAL(openat);
    MODE(flags)
    if (on(DISK) && !may_create(folder, path, flags)) return -1;
    struct entry *entry = record_open(folder, path, flags);
    int fd = real(folder, path, flags, mode);
    if (on(RECORD)) record_opened(entry, fd);
    return fd;
}

int creat(const char *path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* --- the names for large files: the same functions where an offset has 64 bits --------------- */

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
