/*
 * Loaded into a node (LD_PRELOAD): writes down, in order, what the node asks of the files below one folder. What of it
 * has reached the disk when the power goes is decided by whoever reads that (disk.rs); nothing is decided here.
 *
 *   QUIETUS_POWER_ROOT     the folder, as realpath(3) gives it
 *   QUIETUS_POWER_JOURNAL  where it is written down; the file is there
 *   QUIETUS_POWER_SYNC_US  how long a sync takes
 *
 * A record is the 40 bytes of `struct head`, a path, a second path, and bytes. Paths are below the folder; "" is itself.
 *
 * A call and its record lie under one lock, which is the journal's own (flock), so that whoever holds it may end the
 * node between two calls and finds every one that it made. A sync is two records: what was written before the first
 * lies on the disk from the second on. The call itself is left out, for the kernel outlives every node here. What makes
 * nothing durable for certain is not looked at: close, sync_file_range, syncfs. What is written in a way that is not
 * here (mmap, copy_file_range) is missed, and noticed: the reader holds its files against the folder.
 *
 * Calls go to the kernel directly. What fails is not written down.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { CREATE = 1, MKDIR, WRITE, SIZE, RENAME, LINK, UNLINK, SYNC_BEGINS, SYNC_ENDS };

struct head {
    uint32_t op;
    uint16_t path, second;
    uint64_t inode, at, length, ticket;
};

static char root[PATH_MAX];
static size_t root_length;
static int journal = -1;
static long sync_us;
static uint64_t tickets;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static void give_up(const char *what) {
    dprintf(2, "power layer: %s: %s\n", what, strerror(errno));
    abort();
}

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("QUIETUS_POWER_ROOT"), *file = getenv("QUIETUS_POWER_JOURNAL");
    const char *takes = getenv("QUIETUS_POWER_SYNC_US");
    if (!folder || !file) return;
    root_length = strlen(strncpy(root, folder, sizeof root - 1));
    sync_us = takes ? atol(takes) : 0;
    journal = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (journal < 0) give_up("opening the journal");
}

static void lock(void) {
    pthread_mutex_lock(&one_at_a_time);
    while (journal >= 0 && flock(journal, LOCK_EX) < 0)
        if (errno != EINTR) give_up("locking the journal");
}

/* Whatever is done for the journal's sake leaves errno as the call left it. */
static void unlock(void) {
    int before = errno;
    if (journal >= 0) flock(journal, LOCK_UN);
    pthread_mutex_unlock(&one_at_a_time);
    errno = before;
}

/* What of the path is below the folder; NULL = it is elsewhere. */
static const char *below(const char *path) {
    if (journal < 0 || strncmp(path, root, root_length) != 0) return NULL;
    if (path[root_length] == '\0') return path + root_length;
    return path[root_length] == '/' ? path + root_length + 1 : NULL;
}

static const char *below_fd(int fd, char *room) {
    char link[64];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = journal < 0 ? -1 : readlink(link, room, PATH_MAX - 1);
    errno = before;
    if (length < 0) return NULL;
    room[length] = '\0';
    return below(room);
}

/* A name as the kernel would find it; its last part need not be there. */
static const char *below_name(int folder, const char *name, char *room) {
    char whole[PATH_MAX], link[64];
    int before = errno;
    const char *found = NULL;
    const char *slash = strrchr(name, '/'), *last = slash ? slash + 1 : name;
    int parent = slash == name ? 1 : slash ? (int)(slash - name) : 0;
    if (journal < 0) return NULL;
    if (name[0] == '/' || folder == AT_FDCWD) {
        snprintf(whole, sizeof whole, "%.*s", parent ? parent : 1, parent ? name : ".");
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t length = readlink(link, whole, sizeof whole - 1);
        if (length < 0) length = 0;
        snprintf(whole + length, sizeof whole - (size_t)length, "%s%.*s", parent ? "/" : "", parent, name);
    }
    if (realpath(whole, room)) {
        size_t length = strlen(room);
        snprintf(room + length, PATH_MAX - length, "/%s", last);
        found = below(room);
    }
    errno = before;
    return found;
}

static uint64_t inode_of(int fd) {
    struct stat seen;
    if (fstat(fd, &seen) < 0) give_up("inspecting a file");
    return seen.st_ino;
}

static void record(struct head head, const char *path, const char *second, const void *bytes) {
    int before = errno;
    head.path = (uint16_t)strlen(path);
    head.second = (uint16_t)strlen(second);
    size_t length = head.op == WRITE ? head.length : 0;
    struct iovec parts[] = {{&head, sizeof head}, {(void *)path, head.path},
                            {(void *)second, head.second}, {(void *)bytes, length}};
    ssize_t all = (ssize_t)(sizeof head + head.path + head.second + length);
    if (syscall(SYS_writev, journal, parts, 4) != all) give_up("writing the journal");
    errno = before;
}

static int opened(int folder, const char *name, int flags, mode_t mode) {
    char room[PATH_MAX];
    struct stat seen;
    if (journal < 0 || !(flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE)
        return (int)syscall(SYS_openat, folder, name, flags, mode);
    lock();
    int is_there = fstatat(folder, name, &seen, 0) == 0;
    int fd = (int)syscall(SYS_openat, folder, name, flags, mode);
    const char *path = fd < 0 ? NULL : below_fd(fd, room);
    if (path && !is_there) record((struct head){.op = CREATE, .inode = inode_of(fd)}, path, "", NULL);
    if (path && is_there && flags & O_TRUNC) record((struct head){.op = SIZE, .inode = inode_of(fd)}, path, "", NULL);
    unlock();
    return fd;
}

#define OPENS(NAME)                                                \
    int NAME(const char *name, int flags, ...) {                   \
        va_list rest;                                              \
        va_start(rest, flags);                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                              \
        return opened(AT_FDCWD, name, flags, mode);                \
    }
#define OPENS_AT(NAME)                                             \
    int NAME(int folder, const char *name, int flags, ...) {       \
        va_list rest;                                              \
        va_start(rest, flags);                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                              \
        return opened(folder, name, flags, mode);                  \
    }
OPENS(open) OPENS(open64) OPENS_AT(openat) OPENS_AT(openat64)
int creat(const char *name, mode_t mode) { return opened(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *name, mode_t mode) { return creat(name, mode); }

static void sync_of(int fd, const char *path) {
    uint64_t inode = inode_of(fd), ticket;
    lock();
    ticket = ++tickets;
    record((struct head){.op = SYNC_BEGINS, .inode = inode, .ticket = ticket}, path, "", NULL);
    unlock();
    struct timespec pause = {sync_us / 1000000, sync_us % 1000000 * 1000};
    while (nanosleep(&pause, &pause) < 0 && errno == EINTR) {}
    lock();
    record((struct head){.op = SYNC_ENDS, .inode = inode, .ticket = ticket}, path, "", NULL);
    unlock();
}

/* at < 0: where the file stands. */
static ssize_t written(int fd, const struct iovec *parts, int count, off_t at) {
    char room[PATH_MAX];
    const char *path = below_fd(fd, room);
    if (path) lock();
    ssize_t wrote = at < 0 ? syscall(SYS_writev, fd, parts, count)
                           : syscall(SYS_pwritev, fd, parts, count, (unsigned long)at, 0UL);
    if (!path) return wrote;
    int flags = fcntl(fd, F_GETFL);
    if (wrote > 0) {
        struct head head = {.op = WRITE, .inode = inode_of(fd), .length = (uint64_t)wrote};
        head.at = (uint64_t)(at < 0 ? lseek(fd, 0, SEEK_CUR) - wrote : at);
        if (at >= 0 && flags & O_APPEND) give_up("pwrite on a file that is appended to");
        if (count == 1) {
            record(head, path, "", parts[0].iov_base);
        } else {
            char *all = malloc((size_t)wrote), *next = all;
            if (!all) give_up("gathering a write");
            for (int i = 0; i < count; i++) {
                size_t left = (size_t)(all + wrote - next), most = parts[i].iov_len < left ? parts[i].iov_len : left;
                next = (char *)memcpy(next, parts[i].iov_base, most) + most;
            }
            record(head, path, "", all);
            free(all);
        }
    }
    unlock();
    if (wrote > 0 && flags & O_DSYNC) sync_of(fd, path);
    return wrote;
}

static struct iovec one(const void *bytes, size_t length) { return (struct iovec){(void *)bytes, length}; }

ssize_t write(int fd, const void *bytes, size_t length) {
    struct iovec part = one(bytes, length);
    return written(fd, &part, 1, -1);
}
ssize_t writev(int fd, const struct iovec *parts, int count) { return written(fd, parts, count, -1); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    struct iovec part = one(bytes, length);
    return written(fd, &part, 1, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { return pwrite(fd, bytes, length, at); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return written(fd, parts, count, at); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) { return written(fd, parts, count, at); }

static int sized(int fd, uint64_t size, long call, long mode, off_t at, off_t length) {
    char room[PATH_MAX];
    const char *path = below_fd(fd, room);
    if (path) lock();
    int cut = (int)(call == SYS_ftruncate ? syscall(call, fd, (off_t)size) : syscall(call, fd, mode, at, length));
    if (path && cut == 0) record((struct head){.op = SIZE, .inode = inode_of(fd), .length = size}, path, "", NULL);
    if (path) unlock();
    return cut;
}

int ftruncate(int fd, off_t size) { return sized(fd, (uint64_t)size, SYS_ftruncate, 0, 0, 0); }
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }
int truncate(const char *name, off_t size) {
    int fd = opened(AT_FDCWD, name, O_WRONLY | O_CLOEXEC, 0), cut = fd < 0 ? -1 : ftruncate(fd, size);
    if (fd >= 0) close(fd);
    return cut;
}
int truncate64(const char *name, off64_t size) { return truncate(name, size); }
int fallocate(int fd, int mode, off_t at, off_t length) {
    struct stat seen;
    char room[PATH_MAX];
    if (mode != 0 && below_fd(fd, room)) give_up("fallocate with a mode");
    uint64_t size = fstat(fd, &seen) == 0 && seen.st_size > at + length ? (uint64_t)seen.st_size : (uint64_t)(at + length);
    return sized(fd, size, SYS_fallocate, mode, at, length);
}
int fallocate64(int fd, int mode, off64_t at, off64_t length) { return fallocate(fd, mode, at, length); }
int posix_fallocate(int fd, off_t at, off_t length) { return fallocate(fd, 0, at, length) == 0 ? 0 : errno; }
int posix_fallocate64(int fd, off64_t at, off64_t length) { return posix_fallocate(fd, at, length); }

int fsync(int fd) {
    char room[PATH_MAX];
    const char *path = below_fd(fd, room);
    if (!path) return (int)syscall(SYS_fsync, fd);
    sync_of(fd, path);
    return 0;
}
int fdatasync(int fd) { return fsync(fd); }

int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    char first[PATH_MAX], second[PATH_MAX];
    lock();
    const char *was = below_name(from, old, first), *is = below_name(to, new, second);
    int moved = (int)syscall(SYS_renameat2, from, old, to, new, flags);
    if (moved == 0 && (was || is)) {
        if (!was || !is || flags & RENAME_EXCHANGE) give_up("a rename into or out of the folder");
        record((struct head){.op = RENAME}, was, is, NULL);
    }
    unlock();
    return moved;
}
int renameat(int from, const char *old, int to, const char *new) { return renameat2(from, old, to, new, 0); }
int rename(const char *old, const char *new) { return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0); }

int linkat(int from, const char *old, int to, const char *new, int flags) {
    char first[PATH_MAX], second[PATH_MAX];
    lock();
    const char *was = below_name(from, old, first), *is = below_name(to, new, second);
    int linked = (int)syscall(SYS_linkat, from, old, to, new, flags);
    if (linked == 0 && (was || is)) {
        if (!was || !is) give_up("a link into or out of the folder");
        record((struct head){.op = LINK}, was, is, NULL);
    }
    unlock();
    return linked;
}
int link(const char *old, const char *new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }

int unlinkat(int folder, const char *name, int flags) {
    char room[PATH_MAX];
    lock();
    const char *path = below_name(folder, name, room);
    int gone = (int)syscall(SYS_unlinkat, folder, name, flags);
    if (gone == 0 && path) record((struct head){.op = UNLINK}, path, "", NULL);
    unlock();
    return gone;
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }
int remove(const char *name) { return unlink(name) == 0 ? 0 : errno == EISDIR ? rmdir(name) : -1; }

int mkdirat(int folder, const char *name, mode_t mode) {
    char room[PATH_MAX];
    struct stat seen;
    lock();
    const char *path = below_name(folder, name, room);
    int made = (int)syscall(SYS_mkdirat, folder, name, mode);
    if (made == 0 && path) {
        if (fstatat(folder, name, &seen, 0) < 0) give_up("inspecting a folder");
        record((struct head){.op = MKDIR, .inode = seen.st_ino}, path, "", NULL);
    }
    unlock();
    return made;
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }
