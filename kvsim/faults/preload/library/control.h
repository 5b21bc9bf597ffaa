/* What all files of the library share: the page of shared memory, the C library's own functions. */
#ifndef CONTROL_H
#define CONTROL_H
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <sys/uio.h>

/* "kvsimp01" */
#define MAGIC 0x6b7673696d703031ULL
#define PAGE_BYTES 4096
#define NS 1000000000LL

/* Bits of `active`. */
enum { DISK = 1, WATCH = 2, CLOCK = 4, RECORD = 8, HOLD = 16 };
/* Values of `how`. */
enum { FULL = 1, FAILING = 2, SLOW = 3 };
/* Bits of `calls`. */
enum { WRITE = 1, SYNC = 2 };

/* kvsim's side is shared_memory.py: the same fields in the same order. */
struct page {
    uint64_t magic, active;
    /* The disk's rule; `chance` of 2^32. */
    uint64_t how, calls, chance, error, delay_ns, seed;
    /* The clock's rule. */
    int64_t clock_offset_ns, clock_anchor_ns, clock_extra_ppb;
    uint64_t writes_offered, writes_refused, syncs_offered, syncs_refused;
    uint64_t syncs_delayed, delayed_ns, last_error, succeeded;
    uint64_t clock_reads;
    /* Of the last read. */
    int64_t clock_real_ns, clock_reported_ns;
    /* The record: the last sequence number; syncs that HOLD keeps; calls that were not recorded. */
    uint64_t sequence, held, not_recorded;
    uint64_t data_dir_bytes;
    /* Without a slash at its end. */
    char data_dir[2048];
};

extern struct page *page __attribute__((visibility("hidden")));

#define COUNT(field, by) __atomic_add_fetch(&page->field, (by), __ATOMIC_RELAXED)
#define READ(field) __atomic_load_n(&page->field, __ATOMIC_RELAXED)

static inline int on(uint64_t bits) { return page && __builtin_expect(READ(active) & bits, 0); }

/* The C library's own function of this name. */
#define REAL(name)                  \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* How many of `size` bytes may be written to a descriptor now; 0, with errno set, when the call has
 * to fail. */
size_t may_write(int fd, off_t at, size_t size) __attribute__((visibility("hidden")));

/* Count a call (WRITE or SYNC) as refused and set errno; always true. */
int refuse(uint64_t which) __attribute__((visibility("hidden")));

/* Whether a path is below the data directory. */
int below_data(const char *path) __attribute__((visibility("hidden")));

/* --- the record (record.c) ----------------------------------------------------------------------
 * `record_…` before a call begin an entry, NULL where nothing is recorded; `record_done` ends it. */
struct entry;
#define HIDDEN __attribute__((visibility("hidden")))
HIDDEN struct entry *record_write(int fd, off_t at, const struct iovec *parts, int count, int flags);
HIDDEN void record_written(struct entry *entry, int fd, int64_t result);
HIDDEN struct entry *record_unseen(int fd, off_t at);
HIDDEN struct entry *record_sync(int fd, int data_only);
HIDDEN struct entry *record_all(void);
HIDDEN struct entry *record_size(int fd, off_t size);
HIDDEN struct entry *record_allocate(int fd, int mode, off_t at, off_t size);
HIDDEN struct entry *record_open(int folder, const char *path, int flags);
HIDDEN void record_opened(struct entry *entry, int fd);
HIDDEN void record_done(struct entry *entry, int64_t result);
/* The end of `record_unseen`: what was written is read back from the file. UNKNOWN_SIZE: up to the
 * position of the file. */
#define UNKNOWN_SIZE (-2)
HIDDEN void record_read_back(struct entry *entry, int fd, int64_t size);

#endif
