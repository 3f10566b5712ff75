// Makes writes, syncs and truncations of files fail on a schedule. To be preloaded; the schedule is in the file that
// FAULT_CONTROL names and can be changed while the program runs.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct control {
    uint32_t one_in;  // of how many calls one fails; 0 for none
    uint32_t seed;
    uint32_t calls;
    uint32_t failed;
};

static volatile struct control *control;

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("FAULT_CONTROL");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) abort();
    control = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (control == MAP_FAILED) abort();
    close(file);
}

// The errno of this call, or 0 if it is to succeed.
static int fault(int file) {
    uint32_t one_in = control ? control->one_in : 0;
    struct stat status;
    if (one_in == 0 || fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) return 0;
    uint32_t hash = control->seed + __sync_add_and_fetch(&control->calls, 1) * 0x9E3779B9u;
    hash = (hash ^ (hash >> 16)) * 0x85EBCA6Bu;
    hash = (hash ^ (hash >> 13)) * 0xC2B2AE35u;
    hash ^= hash >> 16;
    if (hash % one_in != 0) return 0;
    __sync_add_and_fetch(&control->failed, 1);
    return hash / one_in % 3 == 0 ? EIO : ENOSPC;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define FAIL(file)            \
    do {                      \
        int error = fault(file); \
        if (error) {          \
            errno = error;    \
            return -1;        \
        }                     \
    } while (0)

ssize_t write(int file, const void *data, size_t length) {
    FAIL(file);
    return REAL(write)(file, data, length);
}

ssize_t pwrite(int file, const void *data, size_t length, off_t offset) {
    // A part of it is on disk all the same.
    int error = fault(file);
    if (error) {
        if (length > 1) REAL(pwrite)(file, data, length / 2, offset);
        errno = error;
        return -1;
    }
    return REAL(pwrite)(file, data, length, offset);
}

ssize_t pwrite64(int file, const void *data, size_t length, off64_t offset) {
    int error = fault(file);
    if (error) {
        if (length > 1) REAL(pwrite64)(file, data, length / 2, offset);
        errno = error;
        return -1;
    }
    return REAL(pwrite64)(file, data, length, offset);
}

int fsync(int file) {
    FAIL(file);
    return REAL(fsync)(file);
}

int fdatasync(int file) {
    FAIL(file);
    return REAL(fdatasync)(file);
}

int ftruncate(int file, off_t length) {
    FAIL(file);
    return REAL(ftruncate)(file, length);
}

int ftruncate64(int file, off64_t length) {
    FAIL(file);
    return REAL(ftruncate64)(file, length);
}
