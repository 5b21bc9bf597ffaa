/* The disk: streams of stdio, which write from inside the C library, past disk.c. glibc only: other ones do not. */
#include "control.h"
#include <stdarg.h>
#include <stdio_ext.h>
#include <string.h>

#ifdef __GLIBC__
#define ERROR_SEEN 0x20      /* _IO_ERR_SEEN: what ferror looks at */
#define UNBUFFERED 0x2       /* _IO_UNBUFFERED */

/* Whether `more` bytes may go to a stream: they stay in its buffer, or what it would write now may be written. */
static int may_stream(FILE *file, size_t more, int now) {
    int fd;
    if (!file || (fd = fileno(file)) < 0) return 1;
    size_t held = __fpending(file), space = __fbufsize(file);
    int stays = !now && !(file->_flags & UNBUFFERED) && !__flbf(file) && held + more < (space ? space : BUFSIZ / 2);
    if (stays || held + more == 0) return 1;
    size_t most = may_write(fd, -1, held + more);
    if (most == held + more) return 1;
    if (most > 0) refuse(WRITE); /* a stream has no short write to show for the part that fits */
    __fpurge(file);              /* as glibc does: what it could not write it forgets */
    file->_flags |= ERROR_SEEN;
    return 0;
}

int fflush(FILE *file) {
    REAL(fflush);
    return on(DISK) && !may_stream(file, 0, 1) ? EOF : real(file);
}

int fclose(FILE *file) {
    REAL(fclose);
    if (on(DISK) && !may_stream(file, 0, 1)) {
        int error = errno;
        real(file);
        errno = error;
        return EOF;
    }
    return real(file);
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
    REAL(fwrite);
    return on(DISK) && !may_stream(file, size * count, 0) ? 0 : real(data, size, count, file);
}

int fputs(const char *text, FILE *file) {
    REAL(fputs);
    return on(DISK) && !may_stream(file, strlen(text), 0) ? EOF : real(text, file);
}

int fputc(int byte, FILE *file) {
    REAL(fputc);
    return on(DISK) && !may_stream(file, 1, 0) ? EOF : real(byte, file);
}

#undef putc
int putc(int byte, FILE *file) { return fputc(byte, file); }

static int printed(FILE *file, const char *format, va_list values) {
    REAL(vfprintf);
    if (on(DISK)) {
        va_list again;
        va_copy(again, values);
        int size = vsnprintf(NULL, 0, format, again);
        va_end(again);
        if (size > 0 && !may_stream(file, (size_t)size, 0)) return -1;
    }
    return real(file, format, values);
}

int vfprintf(FILE *file, const char *format, va_list values) { return printed(file, format, values); }

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
#endif
