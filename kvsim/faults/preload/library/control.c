/* Breaks a node's disk and clock from inside the node: loaded before the C library (LD_PRELOAD), told what to do and read
 * from outside through one page of shared memory, the file that KVSIM_CONTROL names.
 *
 * While no rule is on, each call costs one load and one branch. While one is on, only files below the node's data directory
 * are touched: which file a descriptor means is asked of the kernel at each call, so that dup, fork, rename and reuse of
 * numbers need no bookkeeping. What calls the kernel without the C library (Go) passes by, and so does memory that is mapped.
 */
#include "control.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct page *page;

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("KVSIM_CONTROL");
    int fd, kept = errno;
    if (!path || page) return;
    fd = openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        struct page *found = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (found != MAP_FAILED && found->magic == MAGIC) page = found;
        close(fd);
    }
    errno = kept;
}
