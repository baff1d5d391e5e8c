/*
 * trust - see trust.h. Called by the loader before dlopen(), in any process that loads a plugin; reads the file system only.
 */
#include "plugin/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_own(uid_t owner)
{
    return owner == 0 || owner == geteuid();
}

/* Writable for others, or for a group that is not the owner's own? */
static bool is_open(const struct stat *facts)
{
    if ((facts->st_mode & S_IWOTH) != 0)
        return true;
    return (facts->st_mode & S_IWGRP) != 0 && facts->st_gid != 0 && facts->st_gid != getegid();
}

static int check_entry(const char *path, const struct stat *facts, const char *what, struct error *ret_error)
{
    bool is_sticky_directory = S_ISDIR(facts->st_mode) && (facts->st_mode & S_ISVTX) != 0;

    if (!is_own(facts->st_uid))
        return error_set(ret_error, ERROR_CONFIG,
                         "plugin %s: the %s belongs to user %u; it must belong to root or to the user %u that loads it: chown it, or "
                         "put the plugin elsewhere",
                         path, what, (unsigned)facts->st_uid, (unsigned)geteuid());
    if (!S_ISLNK(facts->st_mode) && !is_sticky_directory && is_open(facts))
        return error_set(ret_error, ERROR_CONFIG, "plugin %s: the %s is writable by other users: chmod go-w %s", path, what, path);
    return 0;
}

/* Every directory, and every link to one, that the absolute path goes through. */
static int check_directories(const char *path, struct error *ret_error)
{
    char part[PATH_MAX];
    struct stat facts;
    int result = 0;

    for (size_t i = 0; path[i] != '\0' && result == 0; i++) {
        size_t size = i == 0 ? 1 : i;

        if (path[i] != '/')
            continue;
        memcpy(part, path, size);
        part[size] = '\0';
        if (lstat(part, &facts) != 0)
            return error_set(ret_error, ERROR_CONFIG, "plugin %s: %s: %s", path, part, strerror(errno));
        result = check_entry(part, &facts, S_ISLNK(facts.st_mode) ? "link" : "directory", ret_error);
    }
    return result;
}

/* The path as given, from the root on: its links lead to the plugin as much as its directories do. */
static int make_absolute(const char *path, char ret_path[PATH_MAX], struct error *ret_error)
{
    size_t size = 0;

    if (path[0] != '/') {
        if (getcwd(ret_path, PATH_MAX) == NULL)
            return error_set(ret_error, ERROR_CONFIG, "plugin %s: the working directory: %s", path, strerror(errno));
        size = strlen(ret_path);
        ret_path[size++] = '/';
    }
    if (size + strlen(path) >= PATH_MAX)
        return error_set(ret_error, ERROR_CONFIG, "plugin %s: the path is too long", path);
    memcpy(ret_path + size, path, strlen(path) + 1);
    return 0;
}

int trust_file(const char *path, char ret_path[PATH_MAX], struct stat *ret_stat, struct error *ret_error)
{
    char absolute[PATH_MAX];
    struct stat facts;
    int result = make_absolute(path, absolute, ret_error);

    if (result != 0)
        return result;
    if (realpath(path, ret_path) == NULL || lstat(ret_path, &facts) != 0)
        return error_set(ret_error, ERROR_CONFIG, "plugin %s: %s", path, strerror(errno));
    if (!S_ISREG(facts.st_mode))
        return error_set(ret_error, ERROR_CONFIG, "plugin %s: not a regular file", ret_path);
    if (access(ret_path, R_OK) != 0)
        return error_set(ret_error, ERROR_CONFIG, "plugin %s: %s: let the user %u read it", ret_path, strerror(errno),
                         (unsigned)geteuid());
    result = check_entry(ret_path, &facts, "file", ret_error);
    if (result == 0)
        result = check_directories(ret_path, ret_error);
    if (result == 0 && strcmp(absolute, ret_path) != 0)
        result = check_directories(absolute, ret_error);
    if (result == 0)
        *ret_stat = facts;
    return result;
}
