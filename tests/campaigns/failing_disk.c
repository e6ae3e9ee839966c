/* A disk that fails: preloaded, it stands before the calls of the C library that change files in one folder.

   fail_at(n, kind, folder) counts them from there on. At the n-th call, and not before,
     kind 0 (count):  nothing happens;
     kind 1 (kill):   half of what was to be written is, and the process is gone as by kill -9;
     kind 2 (full):   this call and all later ones that need room fail with ENOSPC.
   calls() tells how many there were. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static long armed = 0, counted = 0, at = 0;
static int kind = 0;
static char folder[4096];

void fail_at(long n, int how, const char *where) {
    at = n;
    kind = how;
    counted = 0;
    strncpy(folder, where, sizeof folder - 1);
    armed = 1;
}

long calls(void) { return counted; }

#define REAL(name) \
    static typeof(&name) real; \
    if (!real) real = (typeof(&name))dlsym(RTLD_NEXT, #name)

static int ours_path(int at_fd, const char *path) {
    char whole[8192];
    if (!armed || !path) return 0;
    if (path[0] != '/') {
        char link[64];
        ssize_t n;
        if (at_fd == AT_FDCWD) n = getcwd(whole, 4096) ? (ssize_t)strlen(whole) : -1;
        else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", at_fd);
            n = readlink(link, whole, 4096);
        }
        if (n < 0) return 0;
        whole[n] = 0;
        return strncmp(whole, folder, strlen(folder)) == 0;
    }
    return strncmp(path, folder, strlen(folder)) == 0;
}

static int ours(int fd) {
    char link[64], path[4096];
    if (!armed) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return ours_path(AT_FDCWD, path);
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* 1: fail for want of room; 2: die, after half of it; 0: go on. */
static int turn(int needs_room) {
    long n = __sync_add_and_fetch(&counted, 1);
    if (kind == 1 && n == at) return 2;
    if (kind == 2 && n >= at && needs_room) { errno = ENOSPC; return 1; }
    return 0;
}

#define STEP(is_ours, needs_room, half) \
    if (is_ours) { \
        int what = turn(needs_room); \
        if (what == 1) return -1; \
        if (what == 2) { half; die(); } \
    }

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    STEP(ours(fd), 1, (void)!real(fd, data, size / 2));
    return real(fd, data, size);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t place) {
    REAL(pwrite);
    STEP(ours(fd), 1, (void)!real(fd, data, size / 2, place));
    return real(fd, data, size, place);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t place) {
    REAL(pwrite64);
    STEP(ours(fd), 1, (void)!real(fd, data, size / 2, place));
    return real(fd, data, size, place);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    STEP(ours(fd), 1, (void)!real(fd, parts, count / 2));
    return real(fd, parts, count);
}
size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
    REAL(fwrite);
    if (ours(fileno(file))) {
        int what = turn(1);
        if (what == 1) return 0;
        if (what == 2) { real(data, size, count / 2, file); fflush(file); die(); }
    }
    return real(data, size, count, file);
}
int ftruncate(int fd, off_t size) {
    REAL(ftruncate);
    STEP(ours(fd), 1, );
    return real(fd, size);
}
int ftruncate64(int fd, off64_t size) {
    REAL(ftruncate64);
    STEP(ours(fd), 1, );
    return real(fd, size);
}
int fsync(int fd) {
    REAL(fsync);
    STEP(ours(fd), 1, );
    return real(fd);
}
int fdatasync(int fd) {
    REAL(fdatasync);
    STEP(ours(fd), 1, );
    return real(fd);
}
int rename(const char *from, const char *to) {
    REAL(rename);
    STEP(ours_path(AT_FDCWD, to), 0, );
    return real(from, to);
}
int renameat(int from_fd, const char *from, int to_fd, const char *to) {
    REAL(renameat);
    STEP(ours_path(to_fd, to), 0, );
    return real(from_fd, from, to_fd, to);
}
int unlink(const char *path) {
    REAL(unlink);
    STEP(ours_path(AT_FDCWD, path), 0, );
    return real(path);
}
int unlinkat(int fd, const char *path, int flags) {
    REAL(unlinkat);
    STEP(ours_path(fd, path), 0, );
    return real(fd, path, flags);
}
int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    STEP(ours_path(AT_FDCWD, path), 1, );
    return real(path, mode);
}
int rmdir(const char *path) {
    REAL(rmdir);
    STEP(ours_path(AT_FDCWD, path), 0, );
    return real(path);
}

#define MODE \
    mode_t mode = 0; \
    if (flags & O_CREAT) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

int open(const char *path, int flags, ...) {
    REAL(open);
    MODE;
    STEP((flags & (O_CREAT | O_TRUNC)) && ours_path(AT_FDCWD, path), 1, );
    return real(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    REAL(open64);
    MODE;
    STEP((flags & (O_CREAT | O_TRUNC)) && ours_path(AT_FDCWD, path), 1, );
    return real(path, flags, mode);
}
int openat(int fd, const char *path, int flags, ...) {
    REAL(openat);
    MODE;
    STEP((flags & (O_CREAT | O_TRUNC)) && ours_path(fd, path), 1, );
    return real(fd, path, flags, mode);
}
