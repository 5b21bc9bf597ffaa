/* The record of what a node does with the files below its data directory, for power cuts.
 *
 * Each process writes entries into files of its own (`chunks`), which are mapped: an entry costs a
 * copy and no call. They are in the folder NAME.record beside the control page NAME.page. An entry
 * is there before its call (`end` is 0) and ends after it: what a killed process leaves open may
 * have happened or not. `begin` and `end` are numbers of one sequence for all processes of a node:
 * a sync covers the writes whose `end` is before its `begin`. kvsim's side is kvsim/faults/power.
 */
#include "control.h"
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CHUNK_BYTES (1UL << 20)
#define MAPPED_BYTES_MAX (64UL << 20)
#define SLOTS 4096
#define MAPS 64

/* As in kvsim/faults/power/recorded_calls.py. */
enum {
    NOTHING = 1, WRITTEN, UNSEEN, SYNCED, DATA_SYNCED, ALL_SYNCED, RESIZED, ALLOCATED, CREATED,
    FOLDER_MADE, LINKED, RENAMED, REMOVED, MAPPED, NOT_FOLLOWED
};
/* Bits of `flags`: the write syncs itself; it is at the position of the file; it is what a map holds,
 * perhaps with zeros behind the end of the file. */
enum { SYNCS_ITSELF = 1, AT_POSITION = 2, FROM_MAP = 4 };

struct entry {
    uint32_t size;
    uint16_t kind, flags;
    uint64_t begin, end, file;
    int64_t at, length, result;
    int64_t began_ns, time_ns;
    uint32_t chunk, payload;
};

/* --- chunks ---------------------------------------------------------------------------------- */

/* `users`: entries that have not ended; the last one unmaps a chunk that is full. */
struct chunk { char *memory; size_t size, used; int users, full; };
#define CHUNKS 64
static struct chunk chunks[CHUNKS];
static int newest = -1, chunk_number;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Held while a write at the position of a file is made, so that the position tells where it was. */
static pthread_mutex_t position_lock = PTHREAD_MUTEX_INITIALIZER;
static __thread int holds_position;

static void lock_all(void) { pthread_mutex_lock(&position_lock); pthread_mutex_lock(&lock); }
static void unlock_all(void) { pthread_mutex_unlock(&lock); pthread_mutex_unlock(&position_lock); }
static void after_fork(void) {
    unlock_all();
    /* The parent's chunks are the parent's. */
    for (int i = 0; i < CHUNKS; i++) {
        if (chunks[i].memory) munmap(chunks[i].memory, chunks[i].size);
        chunks[i] = (struct chunk){0};
    }
    newest = -1;
    chunk_number = 0;
}

__attribute__((constructor)) static void prepare(void) {
    pthread_atfork(lock_all, unlock_all, after_fork);
}

static void unmap(struct chunk *chunk) {
    munmap(chunk->memory, chunk->size);
    *chunk = (struct chunk){0};
}

/* A new chunk for at least `size` bytes; 0 on failure. `lock` is held. */
static int add_chunk(size_t size) {
    const char *control = getenv("KVSIM_CONTROL");
    char path[PATH_MAX];
    size_t length = control ? strlen(control) : 0;
    if (length < 5 || length > PATH_MAX - 80) return 0;
    if (newest >= 0) {
        chunks[newest].full = 1;
        if (!chunks[newest].users) unmap(&chunks[newest]);
        newest = -1;
    }
    int free = 0;
    while (free < CHUNKS && chunks[free].memory) free++;
    if (free == CHUNKS) return 0;
    size = size < CHUNK_BYTES ? CHUNK_BYTES : (size + 4095) & ~4095UL;
    int fd = -1;
    for (int tries = 0; fd < 0 && tries < 1000; tries++) {
        snprintf(path, sizeof path, "%.*srecord/%d-%d", (int)(length - 4), control, (int)getpid(),
                 chunk_number++);
        fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST) return 0;
    }
    if (fd < 0) return 0;
    /* Allocated now: a store to a mapped page must not meet a full disk. */
    void *memory = MAP_FAILED;
    if (syscall(SYS_fallocate, fd, 0, 0L, (long)size) == 0 ||
        (errno == EOPNOTSUPP && ftruncate(fd, (off_t)size) == 0))
        memory = (void *)syscall(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);
    syscall(SYS_close, fd);
    if (memory == MAP_FAILED) return 0;
    chunks[free] = (struct chunk){memory, size, 0, 0, 0};
    newest = free;
    return 1;
}

static int64_t now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * NS + at.tv_nsec;
}

/* A new entry; its kind is published by `publish`, when it is filled in. NULL: not recorded. */
static struct entry *reserve(size_t payload) {
    size_t size = (sizeof(struct entry) + payload + 7) & ~7UL;
    struct entry *entry = NULL;
    int saved = errno;
    if (payload < (1UL << 31)) {
        pthread_mutex_lock(&lock);
        if ((newest >= 0 && chunks[newest].size - chunks[newest].used >= size) || add_chunk(size)) {
            struct chunk *chunk = &chunks[newest];
            entry = (struct entry *)(chunk->memory + chunk->used);
            chunk->used += size;
            chunk->users++;
            entry->size = (uint32_t)size;
            entry->chunk = (uint32_t)newest;
            entry->payload = (uint32_t)payload;
        }
        pthread_mutex_unlock(&lock);
    }
    if (!entry) COUNT(not_recorded, 1);
    errno = saved;
    return entry;
}

static char *payload_of(struct entry *entry) { return (char *)(entry + 1); }

static struct entry *publish(struct entry *entry, int kind) {
    entry->began_ns = now_ns();
    entry->begin = COUNT(sequence, 1);
    __atomic_store_n(&entry->kind, (uint16_t)kind, __ATOMIC_RELEASE);
    return entry;
}

static struct entry *simple(int kind, uint64_t file, int64_t at, int64_t length) {
    struct entry *entry = reserve(0);
    if (!entry) return NULL;
    entry->file = file;
    entry->at = at;
    entry->length = length;
    return publish(entry, kind);
}

void record_done(struct entry *entry, int64_t result) {
    if (!entry) return;
    int saved = errno;
    entry->result = result;
    entry->time_ns = now_ns();
    uint32_t number = entry->chunk;
    __atomic_store_n(&entry->end, COUNT(sequence, 1), __ATOMIC_RELEASE);
    pthread_mutex_lock(&lock);
    struct chunk *chunk = &chunks[number];
    if (--chunk->users == 0 && chunk->full) unmap(chunk);
    pthread_mutex_unlock(&lock);
    errno = saved;
}

/* --- which file a descriptor is ---------------------------------------------------------------- */

/* What was found out of the file of a descriptor; `file` 0: nothing. */
static struct slot { dev_t device; ino_t file; int is_data; } slots[SLOTS];

static int find_out(int fd) {
    char link[32], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return below_data(path) || !strcmp(path, page->data_dir);
}

/* Whether a descriptor is of a file or folder of the data directory; its status. */
static int is_recorded(int fd, struct stat *status) {
    int saved = errno, is_data = 0;
    if (fd >= 0 && fstat(fd, status) == 0 &&
        (S_ISREG(status->st_mode) || S_ISDIR(status->st_mode))) {
        struct slot *slot = fd < SLOTS ? &slots[fd] : NULL;
        if (slot && slot->file == status->st_ino && slot->device == status->st_dev) {
            is_data = slot->is_data;
        } else {
            is_data = find_out(fd);
            if (slot) *slot = (struct slot){status->st_dev, status->st_ino, is_data};
        }
    }
    errno = saved;
    return is_data;
}

/* How a descriptor was opened: O_APPEND, O_DSYNC. Not kept: dup2 puts another one at its number. */
static int flags_of(int fd) {
    int saved = errno, flags = fcntl(fd, F_GETFL);
    errno = saved;
    return flags < 0 ? 0 : flags;
}

static void forget(int fd) {
    if (fd >= 0 && fd < SLOTS) slots[fd].file = 0;
}

/* While HOLD is on, the power is about to be cut: nothing is synced any more. */
static void hold(void) {
    struct timespec wait = {0, 2000000};
    if (!on(HOLD)) return;
    COUNT(held, 1);
    while (on(HOLD)) nanosleep(&wait, NULL);
}

/* --- mapped files ------------------------------------------------------------------------------ */

#define MAP_PAGE 4096
#define PAGES_AT_ONCE 256

static struct map { char *memory; size_t size; ino_t file; off_t at; } maps[MAPS];
static int maps_count;

static void not_followed(uint64_t file) { record_done(simple(NOT_FOLLOWED, file, 0, 0), 0); }

/* Copy what a map holds, up to the end of its file: a load behind it would end the process. Returns
 * the bytes; -1 where the kernel does not do that. */
static ssize_t copy_map(char *to, char *from, size_t size) {
    struct iovec parts[PAGES_AT_ONCE];
    size_t done = 0;
    while (done < size) {
        size_t planned = 0;
        int count = 0;
        while (count < PAGES_AT_ONCE && done + planned < size) {
            char *at = from + done + planned;
            size_t part = MAP_PAGE - (uintptr_t)at % MAP_PAGE;
            if (part > size - done - planned) part = size - done - planned;
            parts[count++] = (struct iovec){at, part};
            planned += part;
        }
        struct iovec into = {to + done, planned};
        long got = syscall(SYS_process_vm_readv, (long)getpid(), &into, 1L, parts, (long)count, 0L);
        if (got < 0) return errno == EFAULT ? (ssize_t)done : -1;
        done += (size_t)got;
        if ((size_t)got < planned) break;
    }
    return (ssize_t)done;
}

/* Record what a part of a map holds now. */
static void record_map(const struct map *map, char *from, size_t size) {
    int saved = errno;
    struct entry *entry = reserve(size);
    if (!entry) return;
    ssize_t held = copy_map(payload_of(entry), from, size);
    if (held < 0) COUNT(not_recorded, 1);
    entry->file = map->file;
    entry->at = map->at + (from - map->memory);
    entry->length = held;
    entry->flags = FROM_MAP;
    record_done(publish(entry, held > 0 ? WRITTEN : NOTHING), held);
    errno = saved;
}

static void record_maps_of(ino_t file) {
    for (int i = 0; maps_count && i < MAPS; i++)
        if (maps[i].size && maps[i].file == file) record_map(&maps[i], maps[i].memory, maps[i].size);
}

static void set_size(struct map *map, size_t size) {
    pthread_mutex_lock(&lock);
    if (!size) maps_count--;
    map->size = size;
    pthread_mutex_unlock(&lock);
}

/* How many bytes of a map are in a range of memory; from where. */
static size_t overlap(const struct map *map, char *at, size_t size, char **from) {
    char *begin = at > map->memory ? at : map->memory;
    char *end = at + size, *map_end = map->memory + map->size;
    if (map_end < end) end = map_end;
    *from = begin;
    return map->size && end > begin ? (size_t)(end - begin) : 0;
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    REAL(mmap);
    void *memory = real(at, size, protection, flags, fd, offset);
    struct stat status;
    int shared = (flags & MAP_TYPE) == MAP_SHARED || (flags & MAP_TYPE) == MAP_SHARED_VALIDATE;
    if (!on(RECORD) || memory == MAP_FAILED || !shared || !(protection & PROT_WRITE) || fd < 0 ||
        (flags & MAP_ANONYMOUS) || !is_recorded(fd, &status))
        return memory;
    int free = 0;
    pthread_mutex_lock(&lock);
    while (free < MAPS && maps[free].size) free++;
    int fits = free < MAPS && size <= MAPPED_BYTES_MAX;
    if (fits) {
        maps[free] = (struct map){memory, size, status.st_ino, offset};
        maps_count++;
    }
    pthread_mutex_unlock(&lock);
    record_done(simple(fits ? MAPPED : NOT_FOLLOWED, status.st_ino, offset, (int64_t)size), 0);
    return memory;
}

int munmap(void *at, size_t size) {
    REAL(munmap);
    char *from;
    for (int i = 0; maps_count && on(RECORD) && i < MAPS; i++) {
        struct map *map = &maps[i];
        if (!overlap(map, at, size, &from)) continue;
        record_map(map, map->memory, map->size);
        if (overlap(map, at, size, &from) < map->size) not_followed(map->file);
        set_size(map, 0);
    }
    return real(at, size);
}

void *mremap(void *old, size_t old_size, size_t size, int flags, ...) {
    REAL(mremap);
    va_list more;
    va_start(more, flags);
    void *wanted = flags & MREMAP_FIXED ? va_arg(more, void *) : NULL;
    va_end(more);
    struct map *found = NULL;
    char *from;
    for (int i = 0; maps_count && on(RECORD) && i < MAPS; i++) {
        if (!overlap(&maps[i], old, old_size, &from)) continue;
        record_map(&maps[i], maps[i].memory, maps[i].size);
        if (maps[i].memory == old && maps[i].size == old_size && size <= MAPPED_BYTES_MAX)
            found = &maps[i];
        else
            not_followed(maps[i].file);
    }
    void *memory = real(old, old_size, size, flags, wanted);
    if (found && memory != MAP_FAILED) {
        found->memory = memory;
        set_size(found, size);
    }
    return memory;
}

int msync(void *at, size_t size, int flags) {
    REAL(msync);
    struct entry *entries[MAPS];
    int count = 0;
    char *from;
    if (maps_count && on(RECORD) && (flags & MS_SYNC)) {
        hold();
        for (int i = 0; i < MAPS; i++) {
            size_t part = overlap(&maps[i], at, size, &from);
            if (!part) continue;
            record_map(&maps[i], from, part);
            entries[count++] = simple(SYNCED, maps[i].file, 0, 0);
        }
    }
    int result = real(at, size, flags);
    while (count) record_done(entries[--count], result);
    return result;
}

/* --- calls with a descriptor ------------------------------------------------------------------- */

static void take_position(void) {
    if (holds_position++ == 0) pthread_mutex_lock(&position_lock);
}

static void leave_position(void) {
    if (--holds_position == 0) pthread_mutex_unlock(&position_lock);
}

/* Where a write at the position of a file is going to be. */
static off_t position_of(int fd, off_t at, int flags, const struct stat *status) {
    int saved = errno;
    if (flags & O_APPEND) at = status->st_size;
    else if (at < 0) at = lseek(fd, 0, SEEK_CUR);
    errno = saved;
    return at;
}

/* Where it was, when it is over. */
static void settle_position(struct entry *entry, int fd, int64_t size) {
    if (!(entry->flags & AT_POSITION)) return;
    int saved = errno;
    off_t end = lseek(fd, 0, SEEK_CUR);
    errno = saved;
    if (end >= 0 && size > 0) entry->at = end - size;
    leave_position();
}

/* Before a write at `at`; -1: at the position of the file. `record_written` ends it. */
struct entry *record_write(int fd, off_t at, const struct iovec *parts, int count, int flags) {
    struct stat status;
    if (!on(RECORD) || !is_recorded(fd, &status)) return NULL;
    size_t size = 0;
    for (int i = 0; i < count; i++) size += parts[i].iov_len;
    int opened = flags_of(fd), syncs = (opened & O_DSYNC) || (flags & (RWF_SYNC | RWF_DSYNC));
    if (syncs) { hold(); record_maps_of(status.st_ino); }
    struct entry *entry = reserve(size);
    if (!entry) return NULL;
    char *to = payload_of(entry);
    for (int i = 0; i < count; i++) {
        memcpy(to, parts[i].iov_base, parts[i].iov_len);
        to += parts[i].iov_len;
    }
    entry->file = status.st_ino;
    entry->length = (int64_t)size;
    entry->flags = (uint16_t)((syncs ? SYNCS_ITSELF : 0) | (at < 0 ? AT_POSITION : 0));
    if (at < 0) take_position();
    entry->at = position_of(fd, at, opened, &status);
    return publish(entry, WRITTEN);
}

void record_written(struct entry *entry, int fd, int64_t result) {
    if (!entry) return;
    settle_position(entry, fd, result);
    record_done(entry, result);
}

/* Before a write whose bytes this library does not see; it begins at `at`. */
struct entry *record_unseen(int fd, off_t at) {
    struct stat status;
    if (!on(RECORD) || !is_recorded(fd, &status)) return NULL;
    int opened = flags_of(fd);
    if (opened & O_DSYNC) hold();
    struct entry *entry = reserve(0);
    if (!entry) return NULL;
    entry->file = status.st_ino;
    entry->flags = (uint16_t)((opened & O_DSYNC ? SYNCS_ITSELF : 0) | (at < 0 ? AT_POSITION : 0));
    if (at < 0) take_position();
    entry->at = position_of(fd, at, opened, &status);
    return publish(entry, UNSEEN);
}

static ssize_t read_file(int fd, void *into, size_t size, off_t at) {
    ssize_t done = pread(fd, into, size, at);
    if (done >= 0 || errno != EBADF) return done;
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int again = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
    if (again < 0) return -1;
    done = pread(again, into, size, at);
    syscall(SYS_close, again);
    return done;
}

void record_read_back(struct entry *unseen, int fd, int64_t size) {
    if (!unseen) return;
    int saved = errno;
    if (size == UNKNOWN_SIZE) size = lseek(fd, 0, SEEK_CUR) - unseen->at;
    settle_position(unseen, fd, size);
    if (size > 0) {
        struct entry *entry = reserve((size_t)size);
        if (entry) {
            entry->file = unseen->file;
            entry->at = unseen->at;
            entry->length = size;
            entry->flags = unseen->flags & SYNCS_ITSELF;
            int whole = read_file(fd, payload_of(entry), (size_t)size, unseen->at) == size;
            if (!whole) COUNT(not_recorded, 1);
            record_done(publish(entry, whole ? WRITTEN : NOTHING), size);
        }
    }
    __atomic_store_n(&unseen->kind, (uint16_t)NOTHING, __ATOMIC_RELEASE);
    record_done(unseen, 0);
    errno = saved;
}

struct entry *record_sync(int fd, int data_only) {
    struct stat status;
    if (!on(RECORD) || !is_recorded(fd, &status)) return NULL;
    hold();
    record_maps_of(status.st_ino);
    return simple(data_only ? DATA_SYNCED : SYNCED, status.st_ino, 0, 0);
}

struct entry *record_size(int fd, off_t size) {
    struct stat status;
    if (!on(RECORD) || !is_recorded(fd, &status)) return NULL;
    return simple(RESIZED, status.st_ino, 0, size);
}

struct entry *record_allocate(int fd, int mode, off_t at, off_t size) {
    struct stat status;
    if (!on(RECORD) || !is_recorded(fd, &status)) return NULL;
    struct entry *entry = simple(ALLOCATED, status.st_ino, at, size);
    if (entry) entry->flags = (uint16_t)mode;
    return entry;
}

struct entry *record_all(void) {
    if (!on(RECORD)) return NULL;
    hold();
    for (int i = 0; maps_count && i < MAPS; i++)
        if (maps[i].size) record_map(&maps[i], maps[i].memory, maps[i].size);
    return simple(ALL_SYNCED, 0, 0, 0);
}

void sync(void) {
    REAL(sync);
    struct entry *entry = record_all();
    real();
    record_done(entry, 0);
}

/* The kernel copies: what it wrote is read back. */
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
    REAL(copy_file_range);
    if (!on(RECORD)) return real(in, from, out, to, size, flags);
    struct entry *entry = record_unseen(out, to ? *to : -1);
    ssize_t done = real(in, from, out, to, size, flags);
    record_read_back(entry, out, done);
    return done;
}

ssize_t sendfile(int out, int in, off_t *from, size_t size) {
    REAL(sendfile);
    if (!on(RECORD)) return real(out, in, from, size);
    struct entry *entry = record_unseen(out, -1);
    ssize_t done = real(out, in, from, size);
    record_read_back(entry, out, done);
    return done;
}

ssize_t splice(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
    REAL(splice);
    struct stat status;
    if (!on(RECORD) || fstat(out, &status) != 0 || !S_ISREG(status.st_mode))
        return real(in, from, out, to, size, flags);
    struct entry *entry = record_unseen(out, to ? *to : -1);
    ssize_t done = real(in, from, out, to, size, flags);
    record_read_back(entry, out, done);
    return done;
}

/* --- names --------------------------------------------------------------------------------------- */

/* The path of a name, with its folder as the kernel sees it; 0 where it is not below the data
 * directory. */
static int whole_path(int folder, const char *path, char *into) {
    char parent[PATH_MAX], link[32];
    int saved = errno, found = 0;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    if (length == 0 || length >= sizeof parent) return 0;
    memcpy(parent, path, length);
    parent[length] = 0;
    char *slash = strrchr(parent, '/');
    const char *name = slash ? slash + 1 : parent;
    const char *holder = !slash ? "." : slash == parent ? "/" : parent;
    char copy[NAME_MAX + 1];
    if (strlen(name) > NAME_MAX) return 0;
    strcpy(copy, name);
    if (slash && slash != parent) *slash = 0;
    int fd = (int)syscall(SYS_openat, folder, holder, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd >= 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(link, into, PATH_MAX - NAME_MAX - 2);
        syscall(SYS_close, fd);
        if (size > 0) {
            into[size] = '/';
            strcpy(into + size + 1, copy);
            found = below_data(into);
        }
    }
    errno = saved;
    return found;
}

/* An entry about one path or two; `file`: the number of the file, where it is known. */
static struct entry *named(int kind, uint64_t file, const char *path, const char *other) {
    size_t first = strlen(path) + 1, second = other ? strlen(other) + 1 : 0;
    struct entry *entry = reserve(first + second);
    if (!entry) return NULL;
    memcpy(payload_of(entry), path, first);
    if (other) memcpy(payload_of(entry) + first, other, second);
    entry->file = file;
    return publish(entry, kind);
}

struct entry *record_open(int folder, const char *path, int flags) {
    char whole[PATH_MAX];
    struct stat status;
    int saved = errno;
    if (!on(RECORD) || !path || !(flags & (O_CREAT | O_TRUNC)) ||
        (flags & O_TMPFILE) == O_TMPFILE)
        return NULL;
    struct entry *entry = NULL;
    if (fstatat(folder, path, &status, 0) == 0) {
        if ((flags & O_TRUNC) && S_ISREG(status.st_mode) && whole_path(folder, path, whole))
            entry = simple(RESIZED, status.st_ino, 0, 0);
    } else if ((flags & O_CREAT) && whole_path(folder, path, whole)) {
        entry = named(CREATED, 0, whole, NULL);
    }
    errno = saved;
    return entry;
}

/* After an open, also one that `record_open` did not record. */
void record_opened(struct entry *entry, int fd) {
    struct stat status;
    forget(fd);
    if (!entry) return;
    int saved = errno;
    if (fd >= 0 && entry->kind == CREATED && fstat(fd, &status) == 0) entry->file = status.st_ino;
    record_done(entry, fd < 0 ? -1 : 0);
    errno = saved;
}

#define NAMING(name, parameters, arguments, kind, folder, path)                                    \
    int name parameters {                                                                          \
        REAL(name);                                                                                \
        char whole[PATH_MAX];                                                                      \
        struct entry *entry = NULL;                                                                \
        if (on(RECORD) && whole_path(folder, path, whole)) entry = named(kind, 0, whole, NULL);    \
        int result = real arguments;                                                               \
        struct stat status;                                                                        \
        if (entry && result == 0 && kind == FOLDER_MADE && stat(whole, &status) == 0)              \
            entry->file = status.st_ino;                                                           \
        record_done(entry, result);                                                                \
        return result;                                                                             \
    }

NAMING(mkdir, (const char *path, mode_t mode), (path, mode), FOLDER_MADE, AT_FDCWD, path)
NAMING(mkdirat, (int folder, const char *path, mode_t mode), (folder, path, mode), FOLDER_MADE,
       folder, path)
NAMING(unlink, (const char *path), (path), REMOVED, AT_FDCWD, path)
NAMING(unlinkat, (int folder, const char *path, int flags), (folder, path, flags), REMOVED, folder,
       path)
NAMING(rmdir, (const char *path), (path), REMOVED, AT_FDCWD, path)
NAMING(remove, (const char *path), (path), REMOVED, AT_FDCWD, path)

/* A name for a name. A file that comes from outside is read back when it is found to differ. */
static struct entry *record_two(int kind, int from_folder, const char *from, int to_folder,
                                const char *to, unsigned flags) {
    char old[PATH_MAX], new[PATH_MAX];
    struct stat status;
    int saved = errno;
    struct entry *entry = NULL;
    if (!on(RECORD)) return NULL;
    int inside = whole_path(from_folder, from, old), to_inside = whole_path(to_folder, to, new);
    if (inside && to_inside && !(flags & RENAME_EXCHANGE)) {
        int found = fstatat(from_folder, from, &status, AT_SYMLINK_NOFOLLOW) == 0;
        entry = named(kind, found ? status.st_ino : 0, old, new);
    } else if (inside && !to_inside && kind == RENAMED) {
        entry = named(REMOVED, 0, old, NULL);
    } else if (inside || to_inside) {
        entry = named(NOT_FOLLOWED, 0, inside ? old : new, NULL);
    }
    errno = saved;
    return entry;
}

#define TWO_NAMES(name, parameters, arguments, kind, from_folder, from, to_folder, to, flags)     \
    int name parameters {                                                                         \
        REAL(name);                                                                               \
        struct entry *entry = record_two(kind, from_folder, from, to_folder, to, flags);          \
        int result = real arguments;                                                              \
        record_done(entry, result);                                                               \
        return result;                                                                            \
    }

TWO_NAMES(rename, (const char *from, const char *to), (from, to), RENAMED, AT_FDCWD, from, AT_FDCWD,
          to, 0)
TWO_NAMES(renameat, (int folder, const char *from, int other, const char *to),
          (folder, from, other, to), RENAMED, folder, from, other, to, 0)
TWO_NAMES(renameat2, (int folder, const char *from, int other, const char *to, unsigned flags),
          (folder, from, other, to, flags), RENAMED, folder, from, other, to, flags)
TWO_NAMES(link, (const char *from, const char *to), (from, to), LINKED, AT_FDCWD, from, AT_FDCWD, to,
          0)
TWO_NAMES(linkat, (int folder, const char *from, int other, const char *to, int flags),
          (folder, from, other, to, flags), LINKED, folder, from, other, to, 0)

int truncate(const char *path, off_t size) {
    REAL(truncate);
    char whole[PATH_MAX];
    struct stat status;
    struct entry *entry = NULL;
    if (on(RECORD) && whole_path(AT_FDCWD, path, whole) && stat(path, &status) == 0)
        entry = simple(RESIZED, status.st_ino, 0, size);
    int result = real(path, size);
    record_done(entry, result);
    return result;
}

/* The name is drawn inside: the file is recorded when it is there. */
static int made(int fd) {
    char link[32], path[PATH_MAX];
    struct stat status;
    int saved = errno;
    forget(fd);
    if (on(RECORD) && fd >= 0 && fstat(fd, &status) == 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, sizeof path - 1);
        path[length > 0 ? length : 0] = 0;
        if (below_data(path)) record_done(named(CREATED, status.st_ino, path, NULL), 0);
    }
    errno = saved;
    return fd;
}

int mkstemp(char *name) { REAL(mkstemp); return made(real(name)); }
int mkostemp(char *name, int flags) { REAL(mkostemp); return made(real(name, flags)); }

/* Calls of the kernel by number, of programs that use the C library otherwise. */
long syscall(long number, ...) {
    static long (*real)(long, ...);
    long a[6];
    va_list more;
    if (!real) real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    va_start(more, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(more, long);
    va_end(more);
    if (on(RECORD)) {
        if (number == SYS_fsync) return fsync((int)a[0]);
        if (number == SYS_fdatasync) return fdatasync((int)a[0]);
        if (number == SYS_write) return write((int)a[0], (void *)a[1], (size_t)a[2]);
        if (number == SYS_pwrite64) return pwrite((int)a[0], (void *)a[1], (size_t)a[2], a[3]);
        if (number == SYS_ftruncate) return ftruncate((int)a[0], a[1]);
        if (number == SYS_syncfs) return syncfs((int)a[0]);
        if (number == SYS_msync) return msync((void *)a[0], (size_t)a[1], (int)a[2]);
        if (number == SYS_sync) { sync(); return 0; }
    }
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* The C library syncs in threads of its own: when such a sync began and ended is not known. */
#define SYNCS_UNSEEN(name, parameters, arguments)                                   \
    int name parameters {                                                           \
        REAL(name);                                                                 \
        if (on(RECORD)) record_done(named(NOT_FOLLOWED, 0, #name, NULL), 0);        \
        return real arguments;                                                      \
    }

struct aiocb;
struct iocb;
SYNCS_UNSEEN(aio_fsync, (int kind, struct aiocb *request), (kind, request))
SYNCS_UNSEEN(aio_fsync64, (int kind, struct aiocb *request), (kind, request))
SYNCS_UNSEEN(io_submit, (unsigned long context, long count, struct iocb **requests),
             (context, count, requests))

#if defined(__LP64__) && defined(__GLIBC__)
void *mmap64(void *, size_t, int, int, int, off_t) __attribute__((alias("mmap")));
ssize_t sendfile64(int, int, off_t *, size_t) __attribute__((alias("sendfile")));
int truncate64(const char *, off_t) __attribute__((alias("truncate")));
int mkstemp64(char *) __attribute__((alias("mkstemp")));
int mkostemp64(char *, int) __attribute__((alias("mkostemp")));
#endif
