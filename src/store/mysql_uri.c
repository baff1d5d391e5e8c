/*
 * mysql_uri - mysql://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?PARAMETER=VALUE&...]. See mysql.h.
 *
 * The form is RFC 3986's; every part may be percent-encoded, an IPv6 address stands in brackets. Parameters: socket, tls (verified,
 * unverified, off), ssl-ca, ssl-cert, ssl-key. No I/O.
 */
#include "store/mysql.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_PORT = 3306 };

void my_uri_free(struct my_uri *uri)
{
    char *const parts[] = {uri->host, uri->user, uri->password, uri->database, uri->socket, uri->ca, uri->certificate, uri->key};

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        free(parts[i]);
    *uri = (struct my_uri){0};
}

bool my_uri_is_local(const struct my_uri *uri)
{
    return uri->socket != NULL || text_is_local_host(uri->host, strlen(uri->host));
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A part of the URI, decoded. NULL: a '%' without its two digits, a NUL, or out of memory. */
static char *decode(const char *text, size_t size)
{
    char *part = malloc(size + 1);
    size_t n = 0;

    for (size_t i = 0; part != NULL && i < size; i++) {
        int high, low;

        if (text[i] != '%') {
            part[n++] = text[i];
            continue;
        }
        high = i + 2 < size ? hex_value(text[i + 1]) : -1;
        low = high < 0 ? -1 : hex_value(text[i + 2]);
        if (low < 0 || (high == 0 && low == 0)) {
            free(part);
            return NULL;
        }
        part[n++] = (char)(high << 4 | low);
        i += 2;
    }
    if (part != NULL)
        part[n] = '\0';
    return part;
}

/* Never what stands there: it may be a piece of a password. */
static int refuse(const char *what, struct error *ret_error)
{
    return error_set(ret_error, ERROR_CONFIG, "uri: %s; it has the form mysql://user@host:port/database", what);
}

static int put(char **ret_part, const char *text, size_t size, const char *what, struct error *ret_error)
{
    free(*ret_part);
    *ret_part = decode(text, size);
    return *ret_part != NULL ? 0 : refuse(what, ret_error);
}

static int read_host(const char *text, size_t size, struct my_uri *uri, struct error *ret_error)
{
    size_t host = text[0] == '[' ? strcspn(text, "]") : strcspn(text, ":");
    bool is_bracketed = size > 0 && text[0] == '[';
    const char *port;
    int64_t number = DEFAULT_PORT;

    if (memchr(text, ',', size) != NULL)
        return refuse("several hosts are named; name the primary alone", ret_error);
    if (is_bracketed && host >= size)
        return refuse("a '[' has no ']'", ret_error);
    host = host > size ? size : host;
    port = text + host + (is_bracketed ? 1 : 0);
    if (port < text + size && *port == ':') {
        if (!text_read_int(port + 1, (size_t)(text + size - port) - 1, &number) || number < 1 || number > 65535)
            return refuse("the port is no number from 1 to 65535", ret_error);
    } else if (port < text + size) {
        return refuse("something stands between host and '/'", ret_error);
    }
    uri->port = (unsigned)number;
    return put(&uri->host, is_bracketed ? text + 1 : text, is_bracketed ? host - 1 : host, "the host cannot be read", ret_error);
}

static int read_user(const char *text, size_t size, struct my_uri *uri, struct error *ret_error)
{
    const char *colon = memchr(text, ':', size);
    size_t user = colon == NULL ? size : (size_t)(colon - text);
    int result = put(&uri->user, text, user, "the user cannot be read", ret_error);

    if (result != 0 || colon == NULL)
        return result;
    return put(&uri->password, colon + 1, size - user - 1, "the password cannot be read (is a '%' not written as %25?)", ret_error);
}

static int read_tls(struct my_uri *uri, const char *value, size_t size, struct error *ret_error)
{
    if (uri->is_plain || uri->is_unverified || uri->is_verified)
        return refuse("tls stands twice", ret_error);
    uri->is_plain = size == 3 && memcmp(value, "off", 3) == 0;
    uri->is_unverified = size == 10 && memcmp(value, "unverified", 10) == 0;
    uri->is_verified = size == 8 && memcmp(value, "verified", 8) == 0;
    if (uri->is_plain || uri->is_unverified || uri->is_verified)
        return 0;
    return refuse("tls is neither verified, unverified nor off", ret_error);
}

static int read_parameter(const char *text, size_t size, struct my_uri *uri, struct error *ret_error)
{
    const struct {
        const char *name;
        char **part;
    } parts[] = {{"socket", &uri->socket}, {"ssl-ca", &uri->ca}, {"ssl-cert", &uri->certificate}, {"ssl-key", &uri->key}};
    const char *equals = memchr(text, '=', size);
    size_t name = equals == NULL ? size : (size_t)(equals - text), value = equals == NULL ? 0 : size - name - 1;

    if (equals != NULL && name == 3 && memcmp(text, "tls", 3) == 0)
        return read_tls(uri, equals + 1, value, ret_error);
    for (size_t i = 0; equals != NULL && i < sizeof parts / sizeof parts[0]; i++)
        if (strlen(parts[i].name) == name && memcmp(parts[i].name, text, name) == 0)
            return *parts[i].part != NULL
                       ? refuse("a parameter stands twice", ret_error)
                       : put(parts[i].part, equals + 1, value, "a parameter cannot be read", ret_error);
    return refuse("a parameter is none of socket, tls, ssl-ca, ssl-cert, ssl-key, each with a value", ret_error);
}

static int read_parameters(const char *text, struct my_uri *uri, struct error *ret_error)
{
    int result = 0;

    while (*text != '\0' && result == 0) {
        size_t size = strcspn(text, "&");

        result = read_parameter(text, size, uri, ret_error);
        text += size;
        text += *text == '&';
    }
    return result;
}

static int read_all(const char *text, struct my_uri *uri, struct error *ret_error)
{
    const char *slash, *at, *question;
    int result = 0;

    if (strncmp(text, "mysql://", 8) != 0 && strncmp(text, "mariadb://", 10) != 0)
        return refuse("it does not begin with mysql://", ret_error);
    text = strstr(text, "://") + 3;
    slash = text + strcspn(text, "/?");
    if (*slash != '/')
        return refuse("no database is named behind the host", ret_error);
    if (strchr(slash, '#') != NULL)
        return refuse("a '#' stands behind the host (written as %23 it is part of a name)", ret_error);
    at = memrchr(text, '@', (size_t)(slash - text));
    if (at != NULL)
        result = read_user(text, (size_t)(at - text), uri, ret_error);
    text = at == NULL ? text : at + 1;
    if (result == 0)
        result = read_host(text, (size_t)(slash - text), uri, ret_error);
    question = slash + strcspn(slash, "?");
    if (result == 0)
        result = put(&uri->database, slash + 1, (size_t)(question - slash) - 1, "the database cannot be read", ret_error);
    if (result == 0 && *question == '?')
        result = read_parameters(question + 1, uri, ret_error);
    return result;
}

int my_uri_read(const char *text, struct my_uri *ret_uri, struct error *ret_error)
{
    int result;

    *ret_uri = (struct my_uri){0};
    result = read_all(text, ret_uri, ret_error);
    if (result == 0 && ret_uri->database[0] == '\0')
        result = refuse("no database is named", ret_error);
    if (result == 0 && ret_uri->host[0] == '\0' && ret_uri->socket == NULL)
        result = refuse("neither a host nor a socket is named", ret_error);
    if (result == 0 && ret_uri->socket != NULL && ret_uri->socket[0] != '/')
        result = refuse("socket is no absolute path", ret_error);
    if (result != 0)
        my_uri_free(ret_uri);
    return result;
}
