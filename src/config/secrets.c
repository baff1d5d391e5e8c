/*
 * secrets - see secrets.h.
 *
 * Called at start and reload, in the process that reads the config. A secret never appears in an error or a log line.
 */
#include "config/secrets.h"
#include "config/source.h"

#include <ctype.h>
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

/* ---- Passwords in connection strings, read as libpq reads them: conninfo_parse(), conninfo_uri_parse_options() ---- */

static const char blanks[] = " \t\n\v\f\r";

static int digit_value(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Does the name hold "password", as sslpassword does? A URI may write any of it as %XX. */
static bool names_password(const char *name, size_t size)
{
    static const char word[] = "password";
    size_t n_matched = 0;

    for (size_t at = 0; at < size; at++) {
        char c = name[at];

        if (c == '%' && size - at > 2 && isxdigit((unsigned char)name[at + 1]) && isxdigit((unsigned char)name[at + 2])) {
            c = (char)(digit_value(name[at + 1]) << 4 | digit_value(name[at + 2]));
            at += 2;
        }
        /* No beginning of the word is within it again, but its first letter. */
        n_matched = tolower((unsigned char)c) == word[n_matched] ? n_matched + 1 : tolower((unsigned char)c) == word[0];
        if (word[n_matched] == '\0') {
            return true;
        }
    }
    return false;
}

/* The password of "user:password@", where it is at `from` or behind it; *ret_host is what follows the '@'. NULL: none. */
static const char *find_in_authority(const char *authority, const char *from, const char **ret_host, size_t *ret_size)
{
    const char *at = memchr(authority, '@', strcspn(authority, "/"));
    const char *colon = at == NULL ? NULL : memchr(authority, ':', (size_t)(at - authority));
    size_t name_size = strcspn(authority, ":[/?,");

    *ret_host = authority;
    if (at != NULL) {
        at = memrchr(at, '@', strcspn(at, "/?#")); /* one in the password should be %40, and often is not */
    } else if (authority[name_size] == ':') {
        const char *port = authority + name_size + 1;

        if (strchr("/?#,", port[strspn(port, "0123456789")]) == NULL) { /* no port then, but a password with a '/' */
            colon = port - 1;
            at = strrchr(colon, '@');
        }
    }
    if (at == NULL) {
        return NULL;
    }
    *ret_host = at + 1;
    if (colon == NULL || colon + 1 == at || colon < from) {
        return NULL;
    }
    *ret_size = (size_t)(at - colon - 1);
    return colon + 1;
}

static const char *find_in_uri(const char *authority, const char *from, size_t *ret_size)
{
    const char *host;
    const char *found = find_in_authority(authority, from, &host, ret_size);

    for (const char *at = strchr(host, '?'); at != NULL && found == NULL; at = strpbrk(at + 1, "?&")) {
        const char *name = at + 1;
        size_t name_size = strcspn(name, "=?&");
        const char *value = name + name_size + 1;

        if (name[name_size] == '=' && value >= from && names_password(name, name_size) && strcspn(value, "&") > 0) {
            *ret_size = strcspn(value, "&");
            found = value;
        }
    }
    return found;
}

/* Behind a value of a list; NULL: its quote is not closed. */
static const char *value_end(const char *value)
{
    bool is_quoted = *value == '\'';
    const char *at = value + is_quoted;

    while (*at != '\0' && (is_quoted ? *at != '\'' : strchr(blanks, *at) == NULL)) {
        at += *at == '\\' && at[1] != '\0' ? 2 : 1;
    }
    return !is_quoted ? at : *at == '\'' ? at + 1 : NULL;
}

/* What cannot be read as a list is hidden to its end where it speaks of a password anywhere. */
static const char *find_in_list(const char *list, const char *from, size_t *ret_size)
{
    for (const char *name = list + strspn(list, blanks); *name != '\0'; name += strspn(name, blanks)) {
        size_t name_size = strcspn(name, "= \t\n\v\f\r");
        const char *equals = name + name_size + strspn(name + name_size, blanks);
        const char *value = *equals == '=' ? equals + 1 + strspn(equals + 1, blanks) : name;
        const char *end = *equals == '=' ? value_end(value) : NULL;
        bool is_quoted;

        if (end == NULL) {
            value = value < from ? from : value;
            *ret_size = strcasestr(list, "password") != NULL ? strlen(value) : 0;
            return *ret_size > 0 ? value : NULL;
        }
        if (names_password(name, name_size)) { /* the quotes stay, so that it is a list still */
            is_quoted = *value == '\'';
            value += is_quoted;
            *ret_size = (size_t)(end - value) - is_quoted;
            if (value >= from && *ret_size > 0) {
                return value;
            }
        }
        name = end;
    }
    return NULL;
}

/* Where the next password at `from` or behind it begins; *ret_size its length. NULL: none. */
static const char *find_password(const char *uri, const char *from, size_t *ret_size)
{
    size_t scheme_size = strspn(uri, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

    if (scheme_size > 0 && strncmp(uri + scheme_size, "://", 3) == 0) {
        return find_in_uri(uri + scheme_size + 3, from, ret_size);
    }
    return find_in_list(uri, from, ret_size);
}

bool secret_is_in_uri(const char *uri)
{
    size_t size;

    return find_password(uri, uri, &size) != NULL;
}

const char *secret_mask_uri(struct arena *arena, const char *uri)
{
    static const char mask[] = "***";
    char *masked = arena_alloc(arena, strlen(uri) * (sizeof mask - 1) + 1); /* a password is a byte or more */
    char *out = masked;
    const char *from = uri;
    const char *password;
    size_t size;

    if (masked == NULL) {
        return NULL;
    }
    while ((password = find_password(uri, from, &size)) != NULL) {
        out = mempcpy(out, from, (size_t)(password - from));
        out = mempcpy(out, mask, sizeof mask - 1);
        from = password + size;
    }
    memcpy(out, from, strlen(from) + 1);
    return masked;
}
