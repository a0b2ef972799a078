/* Stands between a process and the C library (LD_PRELOAD): counts the calls that touch files below
 * one folder, and at a given call kills the process, stops it or lets the call fail; writes down
 * what was changed, and when it was made durable.
 *
 * Syncs are counted and written down but not made: SIGKILL loses no page cache, and what a power
 * loss would leave is worked out from the record (tests/disk/power.py).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { CREATE = 1, WRITE = 2, SYNC = 4, REMOVE = 8, CUT = 16, READ = 32, LOOK = 64, CLOSE = 128 };
enum deed { COUNT, KILL, TEAR, STOP, FAIL, FAIL_ON, TIMED };

#define MOST 4096
#define EXPORT __attribute__((visibility("default")))

static struct {
    char root[PATH_MAX];
    size_t length;
    int armed, kinds, deed, error, log;
    long at, count;
    int failed;
    struct timespec first;
} set = {.log = -1};

static char *paths[MOST];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) { dprintf(2, "shim: no %s\n", name); abort(); }
    return found;
}

/* From now on, calls of `kinds` below `root` count; `deed` comes at call number `at`. */
EXPORT void shim_arm(const char *root, int kinds, int deed, long at, int error, int log) {
    snprintf(set.root, sizeof set.root, "%s", root);
    set.length = strlen(set.root);
    set.kinds = kinds; set.deed = deed; set.at = at; set.error = error; set.log = log;
    set.count = 0; set.failed = 0;
    set.armed = 1;
}
EXPORT long shim_count(void) { return set.count; }
/* Nanoseconds since the first call that counted. */
EXPORT long shim_since(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return set.count ? (now.tv_sec - set.first.tv_sec) * 1000000000L + now.tv_nsec - set.first.tv_nsec : 0;
}
/* Has the kernel kill this process `nanoseconds` from now, whatever it does then. */
static void kill_after(long nanoseconds) {
    struct sigevent how = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    struct itimerspec when = {{0, 0}, {nanoseconds / 1000000000L, nanoseconds % 1000000000L}};
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &how, &timer) || timer_settime(timer, 0, &when, NULL)) abort();
}
EXPORT void shim_disarm(void) { set.armed = 0; }

static int inside(const char *path) {
    return set.armed && path && !strncmp(path, set.root, set.length)
        && (path[set.length] == '/' || !path[set.length]);
}

static const char *absolute(int folder, const char *path, char *into) {
    if (!set.armed || !path) return NULL;
    if (path[0] == '/') return path;
    char base[PATH_MAX];
    if (folder == AT_FDCWD) {
        if (syscall(SYS_getcwd, base, sizeof base) < 0) return NULL;
    } else if (folder >= 0 && folder < MOST && paths[folder]) {
        snprintf(base, sizeof base, "%s", paths[folder]);
    } else return NULL;
    if (!path[0]) snprintf(into, PATH_MAX, "%s", base);
    else if (snprintf(into, PATH_MAX, "%.2000s/%.2000s", base, path) < 0) return NULL;
    return into;
}

static const char *of(int fd) { return set.armed && fd >= 0 && fd < MOST ? paths[fd] : NULL; }

static void keep(int fd, const char *path) {
    if (fd >= 0 && fd < MOST) { free(paths[fd]); paths[fd] = path ? strdup(path) : NULL; }
}

/* One line, and the bytes of a write after it: OP TAB fd TAB offset TAB length TAB path TAB path */
static void record(const char *op, int fd, long offset, size_t length, const char *one,
                   const char *two, const void *data) {
    if (set.log < 0) return;
    char line[2 * PATH_MAX + 100];
    int size = snprintf(line, sizeof line, "%s\t%d\t%ld\t%zu\t%s\t%s\n", op, fd, offset, length,
                        one ? one : "", two ? two : "");
    struct iovec parts[2] = {{line, size}, {(void *)data, data ? length : 0}};
    if (syscall(SYS_writev, set.log, parts, 2) < 0) abort();
}

/* Counts a call; returns the error it is to fail with, -1 for a write that is to be torn, or 0.
 * The lock is held from here to `leave`, so that the record has the order of what happened. */
static int enter(int kind, const char *path) {
    if (!inside(path)) return 0;
    pthread_mutex_lock(&lock);
    if (!(kind & set.kinds)) return 0;
    long number = ++set.count;
    if (number == 1) {
        clock_gettime(CLOCK_MONOTONIC, &set.first);
        if (set.deed == TIMED) kill_after(set.at);
    }
    if (set.deed == TIMED) return 0;
    if (set.deed == FAIL_ON && number >= set.at) {
        /* A disk that fills takes the first half of what no longer fits. */
        if (kind == WRITE && set.error == ENOSPC && !set.failed++) return -1;
        return set.error;
    }
    if (number != set.at) return 0;
    switch (set.deed) {
        case KILL: syscall(SYS_kill, getpid(), SIGKILL); for (;;) pause();
        case STOP: syscall(SYS_kill, getpid(), SIGSTOP); return 0;
        case TEAR: if (kind == WRITE) return -1;
                   syscall(SYS_kill, getpid(), SIGKILL); for (;;) pause();
        case FAIL: return set.error;
    }
    return 0;
}
static void leave(const char *path) { if (inside(path)) pthread_mutex_unlock(&lock); }
#define REFUSE(path, code) do { leave(path); errno = (code); return -1; } while (0)

static void torn(void) {
    if (set.deed == TEAR) { syscall(SYS_kill, getpid(), SIGKILL); for (;;) pause(); }
}

static int opened(int folder, const char *path, int flags, mode_t mode, const char *name) {
    (void)name;
    char room[PATH_MAX];
    const char *whole = absolute(folder, path, room);
    int made = flags & (O_CREAT | O_TRUNC);
    int code = enter(made ? CREATE : flags & (O_WRONLY | O_RDWR) ? 0 : READ, whole);
    if (code > 0) REFUSE(whole, code);
    struct stat before;
    int was = inside(whole) ? syscall(SYS_newfstatat, folder, path, &before, 0) == 0 : 0;
    int fd = syscall(SYS_openat, folder, path, flags, mode);
    if (inside(whole) && fd >= 0) {
        keep(fd, whole);
        record(!was ? "create" : flags & O_TRUNC ? "opencut" : "open", fd, 0, 0, whole, 0, 0);
    } else keep(fd, NULL);
    leave(whole);
    return fd;
}
#define MODE(flags) mode_t mode = 0; if ((flags) & (O_CREAT | O_TMPFILE)) { \
    va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); }

EXPORT int open(const char *path, int flags, ...) { MODE(flags); return opened(AT_FDCWD, path, flags, mode, "open"); }
EXPORT int open64(const char *path, int flags, ...) { MODE(flags); return opened(AT_FDCWD, path, flags | O_LARGEFILE, mode, "open"); }
EXPORT int openat(int f, const char *path, int flags, ...) { MODE(flags); return opened(f, path, flags, mode, "open"); }
EXPORT int openat64(int f, const char *path, int flags, ...) { MODE(flags); return opened(f, path, flags | O_LARGEFILE, mode, "open"); }

EXPORT int close(int fd) {
    char room[PATH_MAX];
    const char *path = of(fd);
    if (path) { snprintf(room, sizeof room, "%s", path); path = room; }
    int code = enter(CLOSE, path);
    if (inside(path)) record("close", fd, 0, 0, 0, 0, 0);
    keep(fd, NULL);
    int result = syscall(SYS_close, fd);
    leave(path);
    if (code > 0) { errno = code; return -1; }
    return result;
}

static ssize_t written(int fd, const void *data, size_t length, off_t at, int placed) {
    const char *path = of(fd);
    int code = enter(WRITE, path);
    if (code > 0) REFUSE(path, code);
    if (code < 0) length = (length + 1) / 2;
    if (inside(path) && !placed) at = syscall(SYS_lseek, fd, 0, SEEK_CUR);
    ssize_t done = placed ? syscall(SYS_pwrite64, fd, data, length, at)
                          : syscall(SYS_write, fd, data, length);
    if (inside(path) && done > 0) record("write", fd, at, done, 0, 0, data);
    if (code < 0) torn();
    leave(path);
    return done;
}
EXPORT ssize_t write(int fd, const void *d, size_t n) { return written(fd, d, n, 0, 0); }
EXPORT ssize_t pwrite(int fd, const void *d, size_t n, off_t at) { return written(fd, d, n, at, 1); }
EXPORT ssize_t pwrite64(int fd, const void *d, size_t n, off64_t at) { return written(fd, d, n, at, 1); }

/* Nothing of ours uses these on files it must not lose: whoever begins to has to teach the shim. */
#define UNKNOWN(fd, name) do { const char *p = of(fd); if (inside(p)) { \
    dprintf(2, "shim: " name " on %s is not recorded\n", p); abort(); } } while (0)
EXPORT ssize_t writev(int fd, const struct iovec *v, int n) { UNKNOWN(fd, "writev"); return syscall(SYS_writev, fd, v, n); }
EXPORT ssize_t sendfile64(int o, int i, off64_t *at, size_t n) { UNKNOWN(o, "sendfile"); return syscall(SYS_sendfile, o, i, at, n); }
EXPORT ssize_t copy_file_range(int i, off64_t *a, int o, off64_t *b, size_t n, unsigned f) { UNKNOWN(o, "copy_file_range"); return syscall(SYS_copy_file_range, i, a, o, b, n, f); }

#define READER(name, args, pass) EXPORT ssize_t name args { \
    const char *path = of(fd); int code = enter(READ, path); leave(path); \
    if (code > 0) { errno = code; return -1; } return REAL(name) pass; }
READER(read, (int fd, void *d, size_t n), (fd, d, n))
READER(pread, (int fd, void *d, size_t n, off_t at), (fd, d, n, at))
READER(pread64, (int fd, void *d, size_t n, off64_t at), (fd, d, n, at))
READER(preadv, (int fd, const struct iovec *v, int n, off_t at), (fd, v, n, at))
READER(preadv64, (int fd, const struct iovec *v, int n, off64_t at), (fd, v, n, at))

static int synced(const char *op, int fd) {
    const char *path = of(fd);
    int code = enter(SYNC, path);
    if (code > 0) {
        /* Linux then counts the pages as written: a later sync does not try them again. */
        record("badsync", fd, 0, 0, path, op, 0);
        REFUSE(path, code);
    }
    if (inside(path)) record(op, fd, 0, 0, path, 0, 0);
    leave(path);
    return 0;
}
EXPORT int fsync(int fd) { return synced("fsync", fd); }
EXPORT int fdatasync(int fd) { return synced("fsync", fd); }
EXPORT int syncfs(int fd) { return synced("syncfs", fd); }

static int two(int kind, const char *op, int a, const char *from, int b, const char *to, long number, int flags) {
    char room[PATH_MAX], other[PATH_MAX];
    const char *one = absolute(a, from, room), *next = absolute(b, to, other);
    int code = enter(kind, next);
    if (code > 0) REFUSE(next, code);
    int result = syscall(number, a, from, b, to, flags);
    if (inside(next) && !result) record(op, -1, 0, 0, one, next, 0);
    leave(next);
    return result;
}
EXPORT int rename(const char *from, const char *to) { return two(CREATE, "rename", AT_FDCWD, from, AT_FDCWD, to, SYS_renameat2, 0); }
EXPORT int renameat(int a, const char *from, int b, const char *to) { return two(CREATE, "rename", a, from, b, to, SYS_renameat2, 0); }
EXPORT int link(const char *from, const char *to) { return two(CREATE, "link", AT_FDCWD, from, AT_FDCWD, to, SYS_linkat, 0); }
EXPORT int linkat(int a, const char *from, int b, const char *to, int flags) { return two(CREATE, "link", a, from, b, to, SYS_linkat, flags); }

static int one(int kind, const char *op, int folder, const char *path, long number, long last) {
    char room[PATH_MAX];
    const char *whole = absolute(folder, path, room);
    int code = enter(kind, whole);
    if (code > 0) REFUSE(whole, code);
    int result = syscall(number, folder, path, last);
    if (inside(whole) && !result) record(op, -1, 0, 0, whole, 0, 0);
    leave(whole);
    return result;
}
EXPORT int mkdir(const char *path, mode_t mode) { return one(CREATE, "mkdir", AT_FDCWD, path, SYS_mkdirat, mode); }
EXPORT int mkdirat(int f, const char *path, mode_t mode) { return one(CREATE, "mkdir", f, path, SYS_mkdirat, mode); }
EXPORT int rmdir(const char *path) { return one(REMOVE, "rmdir", AT_FDCWD, path, SYS_unlinkat, AT_REMOVEDIR); }
EXPORT int unlink(const char *path) { return one(REMOVE, "unlink", AT_FDCWD, path, SYS_unlinkat, 0); }
EXPORT int unlinkat(int f, const char *path, int flags) { return one(REMOVE, flags & AT_REMOVEDIR ? "rmdir" : "unlink", f, path, SYS_unlinkat, flags); }

static int cut(int fd, off_t length) {
    const char *path = of(fd);
    int code = enter(CUT, path);
    if (code > 0) REFUSE(path, code);
    int result = syscall(SYS_ftruncate, fd, length);
    if (inside(path) && !result) record("cut", fd, length, 0, 0, 0, 0);
    leave(path);
    return result;
}
EXPORT int ftruncate(int fd, off_t length) { return cut(fd, length); }
EXPORT int ftruncate64(int fd, off64_t length) { return cut(fd, length); }

#define LOOKER(name, type, args, path, pass) EXPORT int name args { \
    char room[PATH_MAX]; const char *whole = path; int code = enter(LOOK, whole); leave(whole); \
    (void)room; if (code > 0) { errno = code; return -1; } return REAL(name) pass; }
LOOKER(stat64, struct stat64, (const char *p, struct stat64 *s), absolute(AT_FDCWD, p, room), (p, s))
LOOKER(lstat64, struct stat64, (const char *p, struct stat64 *s), absolute(AT_FDCWD, p, room), (p, s))
LOOKER(stat, struct stat, (const char *p, struct stat *s), absolute(AT_FDCWD, p, room), (p, s))
LOOKER(lstat, struct stat, (const char *p, struct stat *s), absolute(AT_FDCWD, p, room), (p, s))
LOOKER(fstatat64, struct stat64, (int f, const char *p, struct stat64 *s, int n), absolute(f, p, room), (f, p, s, n))
LOOKER(fstatat, struct stat, (int f, const char *p, struct stat *s, int n), absolute(f, p, room), (f, p, s, n))
EXPORT DIR *opendir(const char *p) {
    char room[PATH_MAX]; const char *whole = absolute(AT_FDCWD, p, room);
    int code = enter(LOOK, whole); leave(whole);
    if (code > 0) { errno = code; return NULL; }
    return REAL(opendir)(p);
}
