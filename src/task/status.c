/*
 * status - see status.h. The supervisor makes the block once for its life; a task attaches to it over an inherited descriptor.
 *
 * Never interprets what is in a slot. Its size is sealed, so that no task can shrink it under the others.
 */
#include "task/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Slots lie on cache lines of their own: each has another writer. */
enum { SLOT_BYTES = 256 };

_Static_assert(sizeof(struct task_status) <= SLOT_BYTES, "a slot holds a task's status");

struct status_block {
    int fd;
    unsigned n_slots;
    size_t size;
    unsigned char *memory;
};

static struct status_block *block_map(int fd, unsigned n_slots, struct error *ret_error)
{
    struct status_block *block = calloc(1, sizeof *block);
    size_t size = (size_t)n_slots * SLOT_BYTES;
    void *memory;

    if (block == NULL) {
        error_set(ret_error, ERROR_BUG, "out of memory");
        return NULL;
    }
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        error_set(ret_error, ERROR_TRANSIENT, "cannot map the status block: %s", strerror(errno));
        free(block);
        return NULL;
    }
    *block = (struct status_block){.fd = fd, .n_slots = n_slots, .size = size, .memory = memory};
    return block;
}

struct status_block *status_block_new(unsigned n_slots, struct error *ret_error)
{
    int fd = memfd_create("readside-status", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct status_block *block;

    if (fd < 0 || ftruncate(fd, (off_t)n_slots * SLOT_BYTES) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        error_set(ret_error, ERROR_TRANSIENT, "cannot make the status block: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    block = block_map(fd, n_slots, ret_error);
    if (block == NULL)
        close(fd);
    return block;
}

struct status_block *status_block_attach(int fd, struct error *ret_error)
{
    struct stat facts;

    if (fstat(fd, &facts) != 0) {
        error_set(ret_error, ERROR_BUG, "descriptor %d is no status block: %s", fd, strerror(errno));
        return NULL;
    }
    if (facts.st_size < SLOT_BYTES) {
        error_set(ret_error, ERROR_BUG, "descriptor %d is no status block", fd);
        return NULL;
    }
    return block_map(fd, (unsigned)(facts.st_size / SLOT_BYTES), ret_error);
}

struct status_block *status_block_free(struct status_block *block)
{
    if (block == NULL)
        return NULL;
    munmap(block->memory, block->size);
    close(block->fd);
    free(block);
    return NULL;
}

int status_block_fd(const struct status_block *block)
{
    return block->fd;
}

struct task_status *status_block_slot(struct status_block *block, unsigned slot)
{
    if (slot >= block->n_slots)
        return NULL;
    return (struct task_status *)(void *)(block->memory + (size_t)slot * SLOT_BYTES);
}
