/*
 * secrets - see secrets.h.
 *
 * Called at start and reload, in the process that reads the config. A secret never appears in an error or a log line.
 */
#include "config/secrets.h"
#include "config/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const char env_prefix[] = "env:";
static const char file_prefix[] = "file:";

enum { ENV_SIZE = sizeof env_prefix - 1, FILE_SIZE = sizeof file_prefix - 1 };

bool secret_is_reference(const char *text)
{
    return strncmp(text, env_prefix, ENV_SIZE) == 0 || strncmp(text, file_prefix, FILE_SIZE) == 0;
}

static int out_of_memory(struct error *ret_error)
{
    return error_set(ret_error, ERROR_CONFIG, "out of memory");
}

static int read_variable(struct arena *arena, const char *name, const char **ret_value, struct error *ret_error)
{
    const char *value = getenv(name);
    const char *copy;

    if (value == NULL || value[0] == '\0') {
        return error_set(ret_error, ERROR_CONFIG,
                         "the environment variable %s is %s; set it where Readside is started, or use \"file:/path\"", name,
                         value == NULL ? "not set" : "empty");
    }
    copy = arena_copy(arena, value, strlen(value));
    if (copy == NULL) {
        return out_of_memory(ret_error);
    }
    *ret_value = copy;
    return 0;
}

/* Only the owner reads it, and the owner is root or this user. Group readers are root's to choose: its files only. */
static int check_mode(const char *path, const struct stat *status, struct error *ret_error)
{
    unsigned mode = (unsigned)status->st_mode & 07777;

    if (!S_ISREG(status->st_mode)) {
        return error_set(ret_error, ERROR_CONFIG, "%s is not a regular file", path);
    }
    if (status->st_uid != 0 && status->st_uid != geteuid()) {
        return error_set(ret_error, ERROR_CONFIG, "%s belongs to user %u, who could change it; chown it to root or to user %u",
                         path, (unsigned)status->st_uid, (unsigned)geteuid());
    }
    if ((mode & 07) != 0) {
        return error_set(ret_error, ERROR_CONFIG, "%s is open to everybody (mode %04o); chmod 600 it", path, mode);
    }
    if ((mode & 020) != 0 || ((mode & 040) != 0 && status->st_uid != 0)) {
        return error_set(ret_error, ERROR_CONFIG,
                         "%s is open to its group (mode %04o); chmod 600 it, or let root own it with mode 640", path, mode);
    }
    return 0;
}

/* The content without the newline that editors leave at the end. */
static int check_content(const char *path, char *content, size_t size, struct error *ret_error)
{
    if (size > SECRET_MAX_BYTES) {
        return error_set(ret_error, ERROR_CONFIG, "%s is too large for a secret: more than %d bytes", path, SECRET_MAX_BYTES);
    }
    if (size > 0 && content[size - 1] == '\n') {
        size--;
    }
    if (size > 0 && content[size - 1] == '\r') {
        size--;
    }
    content[size] = '\0';
    if (size == 0) {
        return error_set(ret_error, ERROR_CONFIG, "%s is empty", path);
    }
    if (strlen(content) != size || strchr(content, '\n') != NULL) {
        return error_set(ret_error, ERROR_CONFIG, "%s holds more than one line of text", path);
    }
    return 0;
}

static int read_file(struct arena *arena, const char *path, const char **ret_value, struct error *ret_error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* non-blocking: a fifo is refused, not waited for */
    char *content = arena_alloc(arena, SECRET_MAX_BYTES + 2);
    struct stat status;
    size_t size = 0;
    ssize_t got = 1;
    int result;

    if (fd < 0) {
        return error_set(ret_error, ERROR_CONFIG, "cannot read %s: %s", path, strerror(errno));
    }
    if (content == NULL) {
        result = out_of_memory(ret_error);
        goto out;
    }
    if (fstat(fd, &status) < 0) {
        result = error_set(ret_error, ERROR_CONFIG, "cannot read %s: %s", path, strerror(errno));
        goto out;
    }
    result = check_mode(path, &status, ret_error);
    while (result == 0 && got != 0 && size <= SECRET_MAX_BYTES) {
        got = read(fd, content + size, SECRET_MAX_BYTES + 1 - size);
        if (got < 0 && errno != EINTR) {
            result = error_set(ret_error, ERROR_CONFIG, "cannot read %s: %s", path, strerror(errno));
        }
        size += got > 0 ? (size_t)got : 0;
    }
    if (result == 0) {
        result = check_content(path, content, size, ret_error);
    }
    if (result == 0) {
        *ret_value = content;
    }
out:
    close(fd);
    return result;
}

int secret_read(struct arena *arena, const char *reference, const char *from, const char **ret_value, struct error *ret_error)
{
    const char *path;

    if (strncmp(reference, env_prefix, ENV_SIZE) == 0) {
        return read_variable(arena, reference + ENV_SIZE, ret_value, ret_error);
    }
    if (strncmp(reference, file_prefix, FILE_SIZE) != 0) {
        return error_set(ret_error, ERROR_CONFIG, "a secret is a reference: \"env:NAME\" or \"file:/path\"");
    }
    path = reference + FILE_SIZE;
    path = from == NULL ? path : source_resolve(arena, from, path);
    if (path == NULL) {
        return out_of_memory(ret_error);
    }
    return read_file(arena, path, ret_value, ret_error);
}

/* Where the next password in the URI or list begins; *ret_size its length. NULL: none. */
static const char *find_password(const char *uri, const char *from, size_t *ret_size)
{
    const char *scheme = strstr(uri, "://");
    const char *authority = scheme == NULL ? uri : scheme + 3;
    const char *at = authority + strcspn(authority, "/?#");
    const char *host = scheme == NULL ? NULL : memrchr(authority, '@', (size_t)(at - authority));
    const char *colon = host == NULL ? NULL : memchr(authority, ':', (size_t)(host - authority));

    if (colon != NULL && colon + 1 < host && from <= colon) {
        *ret_size = (size_t)(host - colon - 1);
        return colon + 1;
    }
    for (const char *word = from; (word = strcasestr(word, "password")) != NULL; word++) { /* sslpassword= as well */
        const char *value = word + sizeof "password" - 1;

        value += strspn(value, " \t");
        if (*value != '=') {
            continue;
        }
        value++;
        value += strspn(value, " \t");
        if (scheme == NULL && *value == '\'') {
            size_t quoted = 1 + strcspn(value + 1, "'");

            *ret_size = quoted + (value[quoted] == '\'');
        } else {
            *ret_size = strcspn(value, scheme == NULL ? " \t" : "&#");
        }
        if (*ret_size > 0) {
            return value;
        }
    }
    return NULL;
}

bool secret_is_in_uri(const char *uri)
{
    size_t size;

    return find_password(uri, uri, &size) != NULL;
}

const char *secret_mask_uri(struct arena *arena, const char *uri)
{
    static const char mask[] = "***";
    const char *from = uri;
    size_t size;
    const char *password = find_password(uri, from, &size);

    while (password != NULL) {
        size_t before = (size_t)(password - uri);
        size_t after = strlen(password + size);
        char *masked = arena_alloc(arena, before + sizeof mask + after);

        if (masked == NULL) {
            return NULL;
        }
        memcpy(masked, uri, before);
        memcpy(masked + before, mask, sizeof mask - 1);
        memcpy(masked + before + sizeof mask - 1, password + size, after + 1);
        uri = masked;
        from = masked + before + sizeof mask - 1;
        password = find_password(uri, from, &size);
    }
    return uri;
}
