/* Preloaded into a process by the power-cut tests: notes every system call that changes what is below $MODB_RECORD_ROOT,
 * in the order in which they happened, in the file $MODB_RECORD_TRACE (its format is read by trace.rs).
 *
 * The calls are caught by a seccomp filter and not by functions in front of libc's, because not all of them go through
 * libc: rustix, through which lsm-tree renames the file that names its tables, makes its own. A caught call arrives as a
 * signal in the thread that made it; the handler makes the call itself, with a mark in the sixth argument that
 * the filter lets pass, and notes it. One lock is held meanwhile, so the trace is the order on the disk.
 *
 * A sync is noted when it begins and when it ends, and only lasts a while: what it would have kept is the reader's to say.
 * At and below $MODB_RECORD_NO_SYNC (in the root) it is not even noted: a disk that lies. What cannot be noted ends the
 * process.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

/* Arbitrary; no caller has it in a register by accident. */
#define MARK 0x6d6f6462c07f11e5UL
#define PATH_BYTES 4096
#define SYNC_NANOSECONDS 300000

enum kind { CREATE = 1, TRUNCATE, WRITE, ZEROS, RENAME, UNLINK, MAKE_FOLDER, SYNC_BEGIN, SYNC_END };

struct event {
    uint64_t kind, nanoseconds, inode, at, length;
    uint32_t path_length, second_path_length;
};

static char root[PATH_BYTES];
static size_t root_length;
static const char *lies;
static int trace = -1;
static uint64_t syncs;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

/* The call itself, past the filter; a negative result is the error. */
static long call(long number, long a, long b, long c, long d, long e) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = (long)MARK;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static void give_up(const char *why, long number) {
    char text[256];
    int n = snprintf(text, sizeof text, "recorder: %s (system call %ld)\n", why, number);
    call(SYS_write, 2, (long)text, n, 0, 0);
    call(SYS_exit_group, 99, 0, 0, 0, 0);
}

/* Writes an event; the caller holds the lock. */
static void note(struct event event, const char *path, const char *second_path, const void *bytes) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    event.nanoseconds = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    event.path_length = path ? (uint32_t)strlen(path) : 0;
    event.second_path_length = second_path ? (uint32_t)strlen(second_path) : 0;
    struct iovec parts[] = {
        {&event, sizeof event},
        {(void *)path, event.path_length},
        {(void *)second_path, event.second_path_length},
        {(void *)bytes, bytes ? event.length : 0},
    };
    size_t all = 0;
    for (int i = 0; i < 4; i++) all += parts[i].iov_len;
    if (call(SYS_writev, trace, (long)parts, 4, 0, 0) != (long)all) give_up("the trace cannot be written", 0);
}

/* What follows the root in a path below it, else NULL. */
static const char *below_root(const char *path) {
    return strncmp(path, root, root_length) == 0 && path[root_length] == '/' ? path + root_length + 1 : NULL;
}

/* The same for an open file; `path` has room for one. The root itself is "". */
static const char *file_below_root(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_BYTES - 1);
    if (n < 0) return NULL;
    path[n] = 0;
    return strcmp(path, root) == 0 ? "" : below_root(path);
}

/* The same for a path as a system call takes it. */
static const char *path_below_root(int folder, const char *given, char *path) {
    if (given[0] == '/') return below_root(given);
    size_t n = 0;
    if (folder == AT_FDCWD) {
        if (!getcwd(path, PATH_BYTES)) return NULL;
    } else if (!file_below_root(folder, path)) {
        return NULL;
    }
    n = strlen(path);
    snprintf(path + n, PATH_BYTES - n, "/%s", given);
    return below_root(path);
}

static uint64_t inode_of(int fd) {
    struct stat s;
    if (fstat(fd, &s) != 0) give_up("an open file has no inode", 0);
    return s.st_ino;
}

static int is_all_zeros(const unsigned char *bytes, size_t length) {
    return length > 0 && bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

static long do_open(int folder, const char *given, int flags, mode_t mode) {
    char path[PATH_BYTES];
    const char *name = path_below_root(folder, given, path);
    if (!name || !(flags & (O_CREAT | O_TRUNC))) return call(SYS_openat, folder, (long)given, flags, mode, 0);
    if ((flags & O_TMPFILE) == O_TMPFILE) give_up("a file without a name", SYS_openat);
    pthread_mutex_lock(&order);
    struct stat before;
    int is_new = fstatat(folder, given, &before, 0) != 0;
    long fd = call(SYS_openat, folder, (long)given, flags, mode, 0);
    if (fd >= 0) {
        struct event event = {.inode = inode_of((int)fd)};
        if (is_new) {
            event.kind = CREATE;
            note(event, name, NULL, NULL);
        } else if (flags & O_TRUNC) {
            event.kind = TRUNCATE;
            note(event, NULL, NULL, NULL);
        }
    }
    pthread_mutex_unlock(&order);
    return fd;
}

/* `at` below 0: where the file stands. */
static long do_write(long number, int fd, const struct iovec *parts, int count, long at, long a, long b, long c, long d) {
    struct stat s;
    char path[PATH_BYTES];
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode) || !file_below_root(fd, path))
        return call(number, a, b, c, d, 0);
    pthread_mutex_lock(&order);
    if (at < 0) {
        int flags = fcntl(fd, F_GETFL);
        at = flags & O_APPEND ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    }
    long written = call(number, a, b, c, d, 0), left = written;
    for (int i = 0; i < count && left > 0; i++) {
        size_t length = parts[i].iov_len < (size_t)left ? parts[i].iov_len : (size_t)left;
        struct event event = {.inode = s.st_ino, .at = (uint64_t)at, .length = length};
        int zeros = is_all_zeros(parts[i].iov_base, length);
        event.kind = zeros ? ZEROS : WRITE;
        note(event, NULL, NULL, zeros ? NULL : parts[i].iov_base);
        at += (long)length;
        left -= (long)length;
    }
    pthread_mutex_unlock(&order);
    return written;
}

static long do_truncate(int fd, long size) {
    char path[PATH_BYTES];
    if (!file_below_root(fd, path)) return call(SYS_ftruncate, fd, size, 0, 0, 0);
    pthread_mutex_lock(&order);
    long result = call(SYS_ftruncate, fd, size, 0, 0, 0);
    if (result == 0) {
        struct event event = {.kind = TRUNCATE, .inode = inode_of(fd), .at = (uint64_t)size};
        note(event, NULL, NULL, NULL);
    }
    pthread_mutex_unlock(&order);
    return result;
}

static long do_rename(int from_folder, const char *from, int to_folder, const char *to, long flags) {
    char from_path[PATH_BYTES], to_path[PATH_BYTES];
    const char *old = path_below_root(from_folder, from, from_path);
    const char *new = path_below_root(to_folder, to, to_path);
    if (!old && !new) return call(SYS_renameat2, from_folder, (long)from, to_folder, (long)to, flags);
    if (!old || !new || flags) give_up("a move over the border of the root, or with flags", SYS_renameat2);
    pthread_mutex_lock(&order);
    long result = call(SYS_renameat2, from_folder, (long)from, to_folder, (long)to, 0);
    if (result == 0) {
        struct event event = {.kind = RENAME};
        note(event, old, new, NULL);
    }
    pthread_mutex_unlock(&order);
    return result;
}

static long do_unlink(int folder, const char *given, long flags) {
    char path[PATH_BYTES];
    const char *name = path_below_root(folder, given, path);
    pthread_mutex_lock(&order);
    long result = call(SYS_unlinkat, folder, (long)given, flags, 0, 0);
    if (result == 0 && name) {
        struct event event = {.kind = UNLINK};
        note(event, name, NULL, NULL);
    }
    pthread_mutex_unlock(&order);
    return result;
}

static long do_make_folder(int folder, const char *given, mode_t mode) {
    char path[PATH_BYTES];
    const char *name = path_below_root(folder, given, path);
    pthread_mutex_lock(&order);
    long result = call(SYS_mkdirat, folder, (long)given, mode, 0, 0);
    struct stat s;
    if (result == 0 && name && fstatat(folder, given, &s, 0) == 0) {
        struct event event = {.kind = MAKE_FOLDER, .inode = s.st_ino};
        note(event, name, NULL, NULL);
    }
    pthread_mutex_unlock(&order);
    return result;
}

static long do_symlink(const char *target, int folder, const char *given) {
    char path[PATH_BYTES];
    if (path_below_root(folder, given, path)) give_up("a link in the root", SYS_symlinkat);
    return call(SYS_symlinkat, (long)target, folder, (long)given, 0, 0);
}

static long do_sync(long number, int fd) {
    char path[PATH_BYTES];
    const char *name = file_below_root(fd, path);
    if (!name) return call(number, fd, 0, 0, 0, 0);
    struct event event = {.kind = SYNC_BEGIN, .inode = inode_of(fd)};
    size_t n = lies ? strlen(lies) : 0;
    int is_lie = lies && strncmp(name, lies, n) == 0 && (name[n] == 0 || name[n] == '/');
    if (!is_lie) {
        pthread_mutex_lock(&order);
        event.at = ++syncs;
        note(event, NULL, NULL, NULL);
        pthread_mutex_unlock(&order);
    }
    struct timespec wait = {0, SYNC_NANOSECONDS};
    nanosleep(&wait, NULL);
    if (!is_lie) {
        event.kind = SYNC_END;
        pthread_mutex_lock(&order);
        note(event, NULL, NULL, NULL);
        pthread_mutex_unlock(&order);
    }
    return 0;
}

static void on_call(int signal, siginfo_t *info, void *context) {
    (void)signal;
    int saved = errno;
    greg_t *reg = ((ucontext_t *)context)->uc_mcontext.gregs;
    long number = info->si_syscall;
    long a = reg[REG_RDI], b = reg[REG_RSI], c = reg[REG_RDX], d = reg[REG_R10], e = reg[REG_R8], result = 0;
    struct iovec one = {(void *)b, (size_t)c};
    switch (number) {
    case SYS_open: result = do_open(AT_FDCWD, (char *)a, (int)b, (mode_t)c); break;
    case SYS_creat: result = do_open(AT_FDCWD, (char *)a, O_CREAT | O_WRONLY | O_TRUNC, (mode_t)b); break;
    case SYS_openat: result = do_open((int)a, (char *)b, (int)c, (mode_t)d); break;
    case SYS_write: result = do_write(number, (int)a, &one, 1, -1, a, b, c, d); break;
    case SYS_pwrite64: result = do_write(number, (int)a, &one, 1, d, a, b, c, d); break;
    case SYS_writev: result = do_write(number, (int)a, (struct iovec *)b, (int)c, -1, a, b, c, d); break;
    case SYS_pwritev: result = do_write(number, (int)a, (struct iovec *)b, (int)c, d, a, b, c, d); break;
    case SYS_ftruncate: result = do_truncate((int)a, b); break;
    case SYS_rename: result = do_rename(AT_FDCWD, (char *)a, AT_FDCWD, (char *)b, 0); break;
    case SYS_renameat: result = do_rename((int)a, (char *)b, (int)c, (char *)d, 0); break;
    case SYS_renameat2: result = do_rename((int)a, (char *)b, (int)c, (char *)d, e); break;
    case SYS_unlink: result = do_unlink(AT_FDCWD, (char *)a, 0); break;
    case SYS_rmdir: result = do_unlink(AT_FDCWD, (char *)a, AT_REMOVEDIR); break;
    case SYS_unlinkat: result = do_unlink((int)a, (char *)b, c); break;
    case SYS_mkdir: result = do_make_folder(AT_FDCWD, (char *)a, (mode_t)b); break;
    case SYS_mkdirat: result = do_make_folder((int)a, (char *)b, (mode_t)c); break;
    case SYS_fsync:
    case SYS_fdatasync: result = do_sync(number, (int)a); break;
    /* A link elsewhere is how tables are looked at; one in the root would have to be noted. */
    case SYS_symlink: result = do_symlink((char *)a, AT_FDCWD, (char *)b); break;
    case SYS_symlinkat: result = do_symlink((char *)a, (int)b, (char *)c); break;
    /* Promises nothing about a power cut. */
    case SYS_sync_file_range: result = 0; break;
    default: give_up("not recorded", number);
    }
    reg[REG_RAX] = result;
    errno = saved;
}

static const int caught[] = {
    SYS_open, SYS_creat, SYS_openat, SYS_write, SYS_pwrite64, SYS_writev, SYS_pwritev, SYS_ftruncate, SYS_rename,
    SYS_renameat, SYS_renameat2, SYS_unlink, SYS_rmdir, SYS_unlinkat, SYS_mkdir, SYS_mkdirat, SYS_fsync,
    SYS_fdatasync, SYS_sync_file_range, SYS_symlink, SYS_symlinkat,
    /* These end the process. */
    SYS_openat2, SYS_pwritev2, SYS_truncate, SYS_fallocate, SYS_link, SYS_linkat,
    SYS_mknod, SYS_mknodat, SYS_sync, SYS_syncfs, SYS_sendfile, SYS_copy_file_range, SYS_splice, SYS_io_uring_setup,
};

static void catch_calls(void) {
    enum { COUNT = sizeof caught / sizeof *caught };
    struct sock_filter filter[COUNT + 9];
    size_t n = 0;
    const uint32_t sixth = offsetof(struct seccomp_data, args[5]);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < COUNT; i++)
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)caught[i], COUNT - i, 0);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, sixth);
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)MARK, 0, 2);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, sixth + 4);
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(MARK >> 32), 1, 0);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {(unsigned short)n, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        give_up("the system takes no seccomp filter", SYS_prctl);
}

__attribute__((constructor)) static void start(void) {
    const char *root_name = getenv("MODB_RECORD_ROOT"), *trace_name = getenv("MODB_RECORD_TRACE");
    if (!root_name || !trace_name) return;
    root_length = strlen(root_name);
    if (root_length >= sizeof root) give_up("the root's name is too long", 0);
    memcpy(root, root_name, root_length + 1);
    lies = getenv("MODB_RECORD_NO_SYNC");
    trace = open(trace_name, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    if (trace < 0) give_up("the trace cannot be made", 0);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_call;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    if (sigaction(SIGSYS, &action, NULL) != 0) give_up("no handler", 0);
    catch_calls();
}

/* The process ends while other threads are at work, but not between a call and its note: they wait for the lock until they
 * are gone. */
__attribute__((destructor)) static void end(void) {
    if (trace >= 0) pthread_mutex_lock(&order);
}
