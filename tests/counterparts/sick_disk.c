/* A disk that is slow or full, between PostgreSQL and its files: preloaded, it looks for two files in the folder that
 * SICK_DISK names. While `slow` is there, a sync takes a fifth of a second longer; while `full` is there, a table that
 * would grow gets ENOSPC, as from a full file system; `wal-full`, the same for the write-ahead log. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_on(const char *name) {
    const char *folder = getenv("SICK_DISK");
    char path[4096];
    int before = errno, found;
    if (!folder || snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return 0;
    found = access(path, F_OK) == 0;
    errno = before;
    return found;
}

static int is_in(int file, const char *part) {
    char link[64], path[4096];
    ssize_t length;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, part) != NULL;
}

/* Does the write go beyond the end of one of the tables' files, or into the write-ahead log? */
static int is_refused(int file, off_t at) {
    struct stat found;
    if (is_on("wal-full") && is_in(file, "/pg_wal/")) return 1;
    return is_on("full") && is_in(file, "/base/") && fstat(file, &found) == 0 && at >= found.st_size;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define REFUSE_WRITE do { if (is_refused(file, at)) { errno = ENOSPC; return -1; } } while (0)

ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    static __typeof__(&pwrite64) real;
    REFUSE_WRITE;
    if (!real) real = REAL(pwrite64);
    return real(file, data, size, at);
}

ssize_t pwrite(int file, const void *data, size_t size, off_t at) {
    return pwrite64(file, data, size, at);
}

ssize_t pwritev64(int file, const struct iovec *data, int count, off64_t at) {
    static __typeof__(&pwritev64) real;
    REFUSE_WRITE;
    if (!real) real = REAL(pwritev64);
    return real(file, data, count, at);
}

ssize_t pwritev(int file, const struct iovec *data, int count, off_t at) {
    return pwritev64(file, data, count, at);
}

int posix_fallocate64(int file, off64_t at, off64_t size) {
    static int (*real)(int, off64_t, off64_t);
    if (is_refused(file, at)) return ENOSPC;
    if (!real) real = dlsym(RTLD_NEXT, "posix_fallocate64");
    return real(file, at, size);
}

int posix_fallocate(int file, off_t at, off_t size) {
    return posix_fallocate64(file, at, size);
}

static void linger(void) {
    if (is_on("slow")) usleep(200000);
}

int fdatasync(int file) {
    static __typeof__(&fdatasync) real;
    if (!real) real = REAL(fdatasync);
    linger();
    return real(file);
}

int fsync(int file) {
    static __typeof__(&fsync) real;
    if (!real) real = REAL(fsync);
    linger();
    return real(file);
}
