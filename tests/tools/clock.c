// The clock, moved: a library to preload. WORLD_CLOCK is the number of seconds that are added to the time of day;
// clocks that only measure are left alone. Files written since WORLD_SINCE were written by the moved clock too.
// WORLD_CLOCK_FILE names a file that begins with the number as a long, in the place of WORLD_CLOCK: it may change at any time.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile long *shared;

__attribute__((constructor)) static void share(void) {
    const char *path = getenv("WORLD_CLOCK_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof *shared, PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) shared = mapped;
    close(file);
}

static long offset(void) {
    if (shared) return *shared;
    const char *text = getenv("WORLD_CLOCK");
    return text ? atol(text) : 0;
}

int statx(int folder, const char *restrict path, int flags, unsigned mask, struct statx *restrict found) {
    static int (*real)(int, const char *restrict, int, unsigned, struct statx *restrict);
    if (!real) real = (int (*)(int, const char *restrict, int, unsigned, struct statx *restrict))dlsym(RTLD_NEXT, "statx");
    int result = real(folder, path, flags, mask, found);
    const char *since = getenv("WORLD_SINCE");
    if (!result && since && found->stx_mtime.tv_sec >= atol(since)) found->stx_mtime.tv_sec += offset();
    return result;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += offset();
    return result;
}

time_t time(time_t *where) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}
