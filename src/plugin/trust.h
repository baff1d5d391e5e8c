/*
 * trust - may this file be loaded into the process? Stops strangers, not honest users.
 */
#ifndef PLUGIN_TRUST_H
#define PLUGIN_TRUST_H

#include "base/error.h"

#include <limits.h>
#include <sys/stat.h>

/*
 * Follows the path to a regular file and checks it and every directory that leads to it: owned by root or the user, writable by
 * nobody else (a directory in which only owners may rename, such as /tmp, passes). ret_path: the file without links in its path;
 * ret_stat: the file that was checked. CONFIG with what to do.
 */
int trust_file(const char *path, char ret_path[PATH_MAX], struct stat *ret_stat, struct error *ret_error) MUST_CHECK;

#endif
