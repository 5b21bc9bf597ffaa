/* The wall clock: ahead or behind, fast or slow. The monotonic clock stays true. */
#include "control.h"
#include <pthread.h>
#include <semaphore.h>
#include <sys/time.h>
#include <time.h>

static int64_t in_ns(const struct timespec *at) { return at->tv_sec * NS + at->tv_nsec; }

static struct timespec from_ns(int64_t ns) {
    struct timespec at = {(time_t)(ns / NS), (long)(ns % NS)};
    if (at.tv_nsec < 0) { at.tv_nsec += NS; at.tv_sec--; }
    return at;
}

static int64_t skewed(int64_t real_ns) {
    int64_t run = real_ns - READ(clock_anchor_ns);
    return real_ns + READ(clock_offset_ns) + (int64_t)((__int128)run * READ(clock_extra_ppb) / NS);
}

static int64_t reported(int64_t real_ns) {
    int64_t reported_ns = skewed(real_ns);
    COUNT(clock_reads, 1);
    __atomic_store_n(&page->clock_real_ns, real_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&page->clock_reported_ns, reported_ns, __ATOMIC_RELAXED);
    return reported_ns;
}

static int is_wall(clockid_t clock) {
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
}

static int real_clock(clockid_t clock, struct timespec *at) {
    REAL(clock_gettime);
    return real(clock, at);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    int result = real_clock(clock, at);
    if (on(CLOCK) && result == 0 && is_wall(clock)) *at = from_ns(reported(in_ns(at)));
    return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    REAL(gettimeofday);
    int result = real(at, zone);
    if (on(CLOCK) && result == 0) {
        int64_t real_ns = (int64_t)at->tv_sec * NS + (int64_t)at->tv_usec * 1000;
        struct timespec now = from_ns(reported(real_ns));
        at->tv_sec = now.tv_sec;
        at->tv_usec = now.tv_nsec / 1000;
    }
    return result;
}

time_t time(time_t *at) {
    REAL(time);
    if (!on(CLOCK)) return real(at);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *at, int base) {
    REAL(timespec_get);
    int result = real(at, base);
    if (on(CLOCK) && result == TIME_UTC) *at = from_ns(reported(in_ns(at)));
    return result;
}

/* A program computes deadlines from the moved clock. Converts a deadline: the same time from now,
 * on the true clock. Deadlines of the monotonic clock, which the same functions may get, are small
 * numbers: decades before any wall clock time. */
static struct timespec true_deadline(const struct timespec *at) {
    struct timespec now;
    if (at->tv_sec < NS) return *at;
    real_clock(CLOCK_REALTIME, &now);
    int64_t left = in_ns(at) - skewed(in_ns(&now));
    return from_ns(in_ns(&now) + (int64_t)((__int128)left * NS / (NS + READ(clock_extra_ppb))));
}

#define UNTIL(name, parameters, arguments)                         \
    int name parameters {                                          \
        REAL(name);                                                \
        struct timespec until;                                     \
        if (on(CLOCK)) { until = true_deadline(at); at = &until; } \
        return real arguments;                                     \
    }

UNTIL(pthread_cond_timedwait, (pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
      const struct timespec *restrict at), (cond, mutex, at))
UNTIL(pthread_mutex_timedlock, (pthread_mutex_t *restrict mutex,
      const struct timespec *restrict at), (mutex, at))
UNTIL(sem_timedwait, (sem_t *restrict sem, const struct timespec *restrict at), (sem, at))
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 30)
UNTIL(pthread_cond_clockwait, (pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
      clockid_t clock, const struct timespec *restrict at), (cond, mutex, clock, at))
UNTIL(pthread_mutex_clocklock, (pthread_mutex_t *restrict mutex, clockid_t clock,
      const struct timespec *restrict at), (mutex, clock, at))
UNTIL(sem_clockwait, (sem_t *restrict sem, clockid_t clock, const struct timespec *restrict at),
      (sem, clock, at))
#endif
