/*
 * loader - see loader.h; the only door to dlfcn. Runs at start-up, in the process that uses the plugin.
 */
#include "plugin/loader.h"

#include "base/buffer.h"
#include "plugin/check.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char symbol[] = "readside_projection";

/* ---- Whose file is it? ---- */

static bool is_trusted_owner(const struct stat *stat)
{
    return stat->st_uid == 0 || stat->st_uid == geteuid();
}

/* A group that may write is a stranger unless it is root's or the owner's own. */
static bool is_writable_by_strangers(const struct stat *stat)
{
    if ((stat->st_mode & S_IWOTH) != 0)
        return true;
    return (stat->st_mode & S_IWGRP) != 0 && stat->st_gid != 0 && stat->st_gid != getegid();
}

static int check_file(const char *path, const struct stat *stat, struct error *ret_error)
{
    if (!S_ISREG(stat->st_mode))
        return error_set(ret_error, ERROR_CONFIG, "plugin %s is not a regular file", path);
    if (!is_trusted_owner(stat))
        return error_set(ret_error, ERROR_CONFIG,
                         "plugin %s belongs to user %u; it must belong to root or to the user that runs readside (chown)", path,
                         (unsigned)stat->st_uid);
    if (is_writable_by_strangers(stat))
        return error_set(ret_error, ERROR_CONFIG, "plugin %s can be changed by others; chmod go-w it", path);
    return 0;
}

static int check_directories(const char *path, struct error *ret_error)
{
    char directory[PATH_MAX];
    struct stat stat_of;
    char *slash;

    snprintf(directory, sizeof directory, "%s", path);
    while ((slash = strrchr(directory, '/')) != NULL) {
        slash[slash == directory] = '\0';
        if (stat(directory, &stat_of) != 0)
            return error_set(ret_error, ERROR_CONFIG, "directory %s: %s", directory, strerror(errno));
        if ((stat_of.st_mode & S_ISVTX) == 0 && (!is_trusted_owner(&stat_of) || is_writable_by_strangers(&stat_of)))
            return error_set(ret_error, ERROR_CONFIG,
                             "plugin %s: its directory %s belongs to or can be changed by others; move the plugin, or chmod go-w it",
                             path, directory);
        if (slash == directory)
            break;
    }
    return 0;
}

/* ---- Where is it? ---- */

static int find_in(const char *name, const char *search_path, char *ret_path, struct error *ret_error)
{
    for (const char *at = search_path; *at != '\0';) {
        size_t size = strcspn(at, ":");
        char candidate[PATH_MAX];

        snprintf(candidate, sizeof candidate, "%.*s/%s.so", (int)size, at, name);
        if (size > 0 && access(candidate, F_OK) == 0 && realpath(candidate, ret_path) != NULL)
            return 0;
        at += size + (at[size] == ':');
    }
    return error_set(ret_error, ERROR_CONFIG,
                     "plugin %s not found: no %s.so in %s; install it there, set worker.plugin_path, or give a path with a slash",
                     name, name, search_path);
}

static int find(const char *name_or_path, const char *search_path, char *ret_path, struct error *ret_error)
{
    if (strchr(name_or_path, '/') == NULL)
        return find_in(name_or_path, search_path, ret_path, ret_error);
    if (realpath(name_or_path, ret_path) == NULL)
        return error_set(ret_error, ERROR_CONFIG, "plugin %s: %s", name_or_path, strerror(errno));
    return 0;
}

/* ---- Loading ---- */

/* The object loaded is the file checked: both go through one descriptor. */
static int open_object(const char *path, void **ret_object, struct error *ret_error)
{
    char by_descriptor[64];
    struct stat stat;
    int fd = open(path, O_RDONLY | O_CLOEXEC), result;

    if (fd < 0)
        return error_set(ret_error, ERROR_CONFIG, "plugin %s: %s", path, strerror(errno));
    result = fstat(fd, &stat) != 0 ? error_set(ret_error, ERROR_CONFIG, "plugin %s: %s", path, strerror(errno))
                                   : check_file(path, &stat, ret_error);
    if (result == 0) {
        snprintf(by_descriptor, sizeof by_descriptor, "/proc/self/fd/%d", fd);
        *ret_object = dlopen(by_descriptor, RTLD_NOW | RTLD_LOCAL);
        if (*ret_object == NULL)
            result = error_set(ret_error, ERROR_CONFIG, "plugin %s cannot be loaded: %s", path, dlerror());
    }
    close(fd);
    return result;
}

static int check_abi(const struct rs_projection *descriptor, struct error *ret_error)
{
    if (descriptor == NULL)
        return error_set(ret_error, ERROR_CONFIG, "readside_projection() returns NULL");
    if (descriptor->abi_major != RS_ABI_MAJOR || (RS_ABI_MAJOR == 0 && descriptor->abi_minor != RS_ABI_MINOR))
        return error_set(ret_error, ERROR_CONFIG,
                         "it was built for plugin ABI %u.%u, this readside has %d.%d; compile it again with this readside's header",
                         descriptor->abi_major, descriptor->abi_minor, RS_ABI_MAJOR, RS_ABI_MINOR);
    if (descriptor->abi_minor > RS_ABI_MINOR)
        return error_set(ret_error, ERROR_CONFIG, "it needs plugin ABI %u.%u, this readside has %d.%d; use a newer readside",
                         descriptor->abi_major, descriptor->abi_minor, RS_ABI_MAJOR, RS_ABI_MINOR);
    if (descriptor->size < offsetof(struct rs_projection, open))
        return error_set(ret_error, ERROR_CONFIG,
                         "its descriptor states a size of %u bytes, at least %zu are needed; begin the descriptor with RS_ABI",
                         descriptor->size, offsetof(struct rs_projection, open));
    return 0;
}

static int take_descriptor(void *object, struct projection *projection, struct error *ret_error)
{
    const struct rs_projection *(*function)(void);
    const struct rs_projection *theirs;
    struct rs_projection descriptor;
    void *address = dlsym(object, symbol);
    int result;

    if (address == NULL)
        return error_set(ret_error, ERROR_CONFIG,
                         "it has no function %s(); is it a readside plugin, and is the function not static?", symbol);
    memcpy(&function, &address, sizeof function); /* what dlsym gives for a function (POSIX) */
    theirs = function();
    result = check_abi(theirs, ret_error);
    if (result != 0)
        return result;
    check_copy_item(theirs, theirs->size, 0, &descriptor, sizeof descriptor);
    return check_projection(&descriptor, projection, ret_error);
}

int plugin_load(const char *name_or_path, const char *search_path, struct projection **ret_projection, struct error *ret_error)
{
    struct projection *projection;
    void *object = NULL;
    char path[PATH_MAX];
    int result;

    result = find(name_or_path, search_path, path, ret_error);
    if (result == 0)
        result = check_directories(path, ret_error);
    if (result == 0)
        result = open_object(path, &object, ret_error);
    if (result != 0)
        return result;
    projection = calloc(1, sizeof *projection);
    if (projection == NULL)
        return error_set(ret_error, ERROR_BUG, "out of memory");
    projection->path = strdup(path);
    result = take_descriptor(object, projection, ret_error);
    if (result != 0) {
        error_wrap(ret_error, "plugin %s", path);
        dlclose(object); /* nothing of it is kept: the message is copied, its strings are not used */
        return result;
    }
    for (uint32_t i = 0; i < projection->n_tables; i++)
        if (!projection->tables[i].is_shared)
            projection->has_partitioned_table = true;
    *ret_projection = projection;
    return 0;
}
