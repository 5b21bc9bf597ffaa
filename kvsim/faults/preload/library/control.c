/* Breaks the disk and the clock of a node from inside the node. It is loaded before the C library
 * (LD_PRELOAD). kvsim controls and reads it through one page of shared memory, the file that
 * KVSIM_CONTROL names.
 *
 * While no rule is on, each call costs one load and one branch. While a rule is on, it affects only
 * files below the node's data directory. Each call asks the kernel which file a descriptor refers
 * to, so that dup, fork, rename and reuse of numbers need no bookkeeping. Programs that call the
 * kernel directly (Go) and mapped memory are not affected.
 */
#include "control.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct page *page;

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("KVSIM_CONTROL");
    int fd, saved = errno;
    if (!path || page) return;
    fd = openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        struct page *found = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (found != MAP_FAILED && found->magic == MAGIC) page = found;
        close(fd);
    }
    errno = saved;
}
