/* LD_PRELOAD: each call on a file below $SLOW_ROOT waits $SLOW_MS milliseconds, as on a shared disk over a network.
   Opening, looking (stat), listing, reading, making, renaming and removing count; what the C library calls itself
   (the getdents of a listing) does not. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *root;
static long wait_us;
static char slow[65536]; /* descriptors of slow files */

__attribute__((constructor)) static void begin(void) {
    const char *ms = getenv("SLOW_MS");
    root = getenv("SLOW_ROOT");
    wait_us = ms ? atol(ms) * 1000 : 0;
}
static void pause_now(void) {
    struct timespec t = {wait_us / 1000000, wait_us % 1000000 * 1000};
    nanosleep(&t, NULL);
}
static int is_slow(const char *path) { return root && path && !strncmp(path, root, strlen(root)); }
static void maybe(const char *path) { if (is_slow(path)) pause_now(); }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define OPEN(name)                                                                     \
    int name(const char *path, int flags, ...) {                                       \
        mode_t mode = 0;                                                               \
        if (flags & (O_CREAT | O_TMPFILE)) {                                           \
            va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); \
        }                                                                              \
        maybe(path);                                                                   \
        int fd = REAL(name)(path, flags, mode);                                        \
        if (fd >= 0 && fd < (int)sizeof slow) slow[fd] = is_slow(path);                \
        return fd;                                                                     \
    }
OPEN(open)
OPEN(open64)
#define ONE(name, kind)                                                                \
    int name(const char *path, kind *out) { maybe(path); return REAL(name)(path, out); }
ONE(stat, struct stat)
ONE(lstat, struct stat)
ONE(stat64, struct stat64)
ONE(lstat64, struct stat64)
int fstatat(int d, const char *path, struct stat *out, int flags) { maybe(path); return REAL(fstatat)(d, path, out, flags); }
int fstatat64(int d, const char *path, struct stat64 *out, int flags) { maybe(path); return REAL(fstatat64)(d, path, out, flags); }
int __xstat(int v, const char *path, struct stat *out) {
    maybe(path);
    return ((int (*)(int, const char *, struct stat *))dlsym(RTLD_NEXT, "__xstat"))(v, path, out);
}
int __xstat64(int v, const char *path, struct stat64 *out) {
    maybe(path);
    return ((int (*)(int, const char *, struct stat64 *))dlsym(RTLD_NEXT, "__xstat64"))(v, path, out);
}
DIR *opendir(const char *path) { maybe(path); return REAL(opendir)(path); }
int mkdir(const char *path, mode_t mode) { maybe(path); return REAL(mkdir)(path, mode); }
int rename(const char *from, const char *to) { maybe(to); return REAL(rename)(from, to); }
int unlink(const char *path) { maybe(path); return REAL(unlink)(path); }
int access(const char *path, int how) { maybe(path); return REAL(access)(path, how); }
ssize_t read(int fd, void *to, size_t size) {
    if (fd >= 0 && fd < (int)sizeof slow && slow[fd]) pause_now();
    return REAL(read)(fd, to, size);
}
int close(int fd) {
    if (fd >= 0 && fd < (int)sizeof slow) slow[fd] = 0;
    return REAL(close)(fd);
}
