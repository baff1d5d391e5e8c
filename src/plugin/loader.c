/*
 * loader - see loader.h: the way from a name to a checked projection. The only dlopen.
 *
 * Runs in the processes that need the plugin: a task, and the commands that look at plugins. Never closes a shared object: what it
 * has handed out, and destructors of C++, point into it.
 */
#include "plugin/loader.h"

#include "plugin/descriptor.h"
#include "plugin/trust.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

/* ---- Finding ---- */

/* "DIRECTORY/NAME.so" for the next directory of the list. False: no more. */
static bool next_candidate(const char **search_path, const char *name, char ret_path[PATH_MAX])
{
    for (;;) {
        size_t size;
        bool is_short;

        while (**search_path == ':')
            (*search_path)++;
        if (**search_path == '\0')
            return false;
        size = strcspn(*search_path, ":");
        is_short = size + strlen(name) + sizeof "/.so" <= PATH_MAX;
        if (is_short) {
            memcpy(ret_path, *search_path, size);
            ret_path[size++] = '/';
            memcpy(ret_path + size, name, strlen(name));
            size += strlen(name);
            memcpy(ret_path + size, ".so", sizeof ".so");
        }
        *search_path += strcspn(*search_path, ":");
        if (is_short)
            return true;
    }
}

static int find(const char *name, const char *search_path, char ret_path[PATH_MAX], struct error *ret_error)
{
    const char *at = search_path;
    struct stat facts;

    while (next_candidate(&at, name, ret_path)) {
        if (stat(ret_path, &facts) == 0)
            return 0;
        if (errno != ENOENT && errno != ENOTDIR)
            return error_set(ret_error, ERROR_CONFIG, "plugin %s: %s", ret_path, strerror(errno));
    }
    return error_set(ret_error, ERROR_CONFIG,
                     "plugin %s: there is no %s.so in %s: install it there, or name it by its path (with a slash)", name, name,
                     search_path[0] == '\0' ? "the plugin path, which is empty" : search_path);
}

/* ---- Opening ---- */

/* dlopen() reports by text only. */
static const char *dl_reason(void)
{
    const char *reason = dlerror();

    return reason == NULL ? "unknown reason" : reason;
}

static bool is_same_file(const char *path, const struct stat *checked)
{
    struct stat now;

    return stat(path, &now) == 0 && now.st_dev == checked->st_dev && now.st_ino == checked->st_ino;
}

/* By its path, not through /proc/self/fd: debuggers and crash reports then name it, and the linker tells files apart by name. Only
 * root and the user can have replaced it since the check. */
static int open_object(const char *path, const struct stat *checked, const struct rs_projection **ret_given,
                       struct error *ret_error)
{
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct rs_projection *(*projection)(void);
    void *symbol;

    if (object == NULL)
        return error_set(ret_error, ERROR_CONFIG, "plugin %s: it cannot be loaded: %s", path, dl_reason());
    if (!is_same_file(path, checked))
        return error_set(ret_error, ERROR_CONFIG, "plugin %s: the file was replaced while it was loaded: try again", path);
    symbol = dlsym(object, "readside_projection");
    if (symbol == NULL)
        return error_set(ret_error, ERROR_CONFIG,
                         "plugin %s: it does not export readside_projection(), so it is no projection: define that function (in C++ "
                         "as extern \"C\", which the header's declaration does), or name another file",
                         path);
    memcpy(&projection, &symbol, sizeof projection); /* ISO C has no cast from object to function pointer */
    *ret_given = projection();
    return 0;
}

int plugin_load(const char *name_or_path, const char *search_path, struct projection **ret_projection, struct error *ret_error)
{
    char found[PATH_MAX], path[PATH_MAX];
    const char *name = name_or_path;
    const struct rs_projection *given = NULL;
    struct stat checked;
    int result = 0;

    if (strchr(name_or_path, '/') == NULL) {
        result = find(name_or_path, search_path == NULL ? "" : search_path, found, ret_error);
        name = found;
    }
    if (result == 0)
        result = trust_file(name, path, &checked, ret_error);
    if (result == 0)
        result = open_object(path, &checked, &given, ret_error);
    if (result == 0)
        result = descriptor_check(given, path, ret_projection, ret_error);
    return result;
}

struct projection *projection_free(struct projection *projection)
{
    if (projection != NULL)
        arena_free(projection->arena);
    return NULL;
}
