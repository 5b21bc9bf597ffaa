/* What the parts of the library share: the page that kvsim holds the other end of, and the C library's own functions. */
#ifndef CONTROL_H
#define CONTROL_H
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define MAGIC 0x6b7673696d703031ULL /* "kvsimp01" */
#define PAGE_BYTES 4096
#define NS 1000000000LL

enum { DISK = 1, WATCH = 2, CLOCK = 4 };             /* bits of `active` */
enum { FULL = 1, FAILING = 2, SLOW = 3 };            /* `how` */
enum { WRITE = 1, SYNC = 2 };                        /* bits of `calls` */

/* `page.py` is the other side of it, and holds the same order. */
struct page {
    uint64_t magic, active;
    uint64_t how, calls, chance, error, delay_ns, seed;               /* the disk's rule; chance out of 2^32 */
    int64_t clock_offset_ns, clock_anchor_ns, clock_extra_ppb;        /* the clock's */
    uint64_t writes_offered, writes_refused, syncs_offered, syncs_refused, syncs_delayed, delayed_ns, last_error, passed;
    uint64_t clock_asked;
    int64_t clock_real_ns, clock_told_ns;                             /* at the last question */
    uint64_t data_bytes;
    char data[2048];                                                  /* the data directory, without a slash at its end */
};

extern struct page *page __attribute__((visibility("hidden")));

#define COUNT(field, by) __atomic_add_fetch(&page->field, (by), __ATOMIC_RELAXED)
#define READ(field) __atomic_load_n(&page->field, __ATOMIC_RELAXED)

static inline int on(uint64_t bits) { return page && __builtin_expect(READ(active) & bits, 0); }

/* The C library's own function of this name. */
#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* Bytes that may be written to a descriptor now, `size` at most; 0 with errno set when the call is to fail. */
size_t may_write(int fd, off_t at, size_t size) __attribute__((visibility("hidden")));

/* Count a write as refused by the rule and set errno; always true. */
int refuse(uint64_t which) __attribute__((visibility("hidden")));

#endif
