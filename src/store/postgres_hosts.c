/*
 * postgres_hosts - the servers that a URI names: whether they are near enough to do without TLS, and which of a list is whose turn.
 *
 * libpq goes through a list of hosts by itself, but by one deadline for all of them where nobody waits for it, so a host that is
 * silent would hide the others. So it is given one at a time. No I/O. See postgres.h.
 */
#include "store/postgres.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nothing, a path and an abstract name are sockets of this machine. */
static bool is_local_host(const char *host, size_t size)
{
    return size == 0 || host[0] == '/' || host[0] == '@' || text_is_local_host(host, size);
}

/* A comma-separated list is local when each of its hosts is. */
static bool is_local(const char *hosts)
{
    for (const char *at = hosts == NULL ? "" : hosts;; at++) {
        size_t size = strcspn(at, ",");

        if (!is_local_host(at, size))
            return false;
        at += size;
        if (*at == '\0')
            return true;
    }
}

static const char *option_of(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword != NULL; options++)
        if (strcmp(options->keyword, keyword) == 0)
            return options->val;
    return NULL;
}

/* Where libpq would connect to; what the environment adds to the URI counts. A service file is somebody else's word: remote. */
static const char *hosts_of(const PQconninfoOption *options)
{
    const char *hosts = option_of(options, "hostaddr");

    if (option_of(options, "service") != NULL || getenv("PGSERVICE") != NULL)
        return "of a service file";
    if (hosts == NULL)
        hosts = getenv("PGHOSTADDR");
    if (hosts == NULL)
        hosts = option_of(options, "host");
    return hosts == NULL ? getenv("PGHOST") : hosts;
}

/* libpq quotes what it cannot read, and that may be a piece of a password. */
static int refuse_uri(const char *uri, const char *message, struct error *ret_error)
{
    bool may_tell = strcasestr(uri, "pass") == NULL && strchr(uri, '@') == NULL && message != NULL;

    return error_set(ret_error, ERROR_CONFIG, "uri: %s",
                     may_tell ? message
                              : "cannot be read, neither as postgresql://user@host:port/database nor as key=value pairs (quote values "
                                "that hold blanks)");
}

/* ---- Hosts of a list, one after the other ---- */

static const char *list_of(const PQconninfoOption *options, const char *keyword, const char *variable)
{
    const char *list = option_of(options, keyword);

    return list != NULL ? list : getenv(variable);
}

static size_t count_items(const char *list)
{
    size_t n = list != NULL;

    for (; list != NULL && *list != '\0'; list++)
        n += *list == ',';
    return n;
}

/* The list's item; its only one, where it has one. NULL: nothing is given, so libpq's own word counts. */
static const char *item_of(const char *list, size_t at, char ret_item[PG_HOST_SIZE])
{
    const char *item = list;

    if (list == NULL)
        return NULL;
    for (; at > 0 && item[strcspn(item, ",")] == ','; at--)
        item += strcspn(item, ",") + 1;
    snprintf(ret_item, PG_HOST_SIZE, "%.*s", (int)strcspn(item, ","), item);
    return ret_item[0] == '\0' ? NULL : ret_item;
}

size_t pg_count_hosts(const PQconninfoOption *options)
{
    size_t n = count_items(hosts_of(options));

    return n == 0 ? 1 : n;
}

static const char *compiled_port(const PQconninfoOption *options)
{
    for (; options->keyword != NULL; options++)
        if (strcmp(options->keyword, "port") == 0)
            return options->compiled;
    return NULL;
}

bool pg_host_of(const PQconninfoOption *options, size_t at, struct pg_host *ret_host)
{
    *ret_host = (struct pg_host){0};
    if (pg_count_hosts(options) == 1)
        return false;
    ret_host->name = item_of(list_of(options, "host", "PGHOST"), at, ret_host->name_text);
    ret_host->address = item_of(list_of(options, "hostaddr", "PGHOSTADDR"), at, ret_host->address_text);
    ret_host->port = item_of(list_of(options, "port", "PGPORT"), at, ret_host->port_text);
    if (ret_host->port == NULL)
        ret_host->port = compiled_port(options);
    return true;
}

/* libpq would say it of the whole list; since it is given one host after the other, it does not see it. */
static int check_lists(const PQconninfoOption *options, struct error *ret_error)
{
    size_t n_hosts = pg_count_hosts(options), n_names = count_items(list_of(options, "host", "PGHOST"));
    size_t n_ports = count_items(list_of(options, "port", "PGPORT"));
    struct pg_host host;

    if (n_hosts == 1)
        return 0;
    if (n_names != 0 && n_names != n_hosts)
        return error_set(ret_error, ERROR_CONFIG, "uri: %zu host names but %zu addresses (hostaddr)", n_names, n_hosts);
    if (n_ports > 1 && n_ports != n_hosts)
        return error_set(ret_error, ERROR_CONFIG, "uri: %zu ports for %zu hosts; give one for all, or one to each", n_ports, n_hosts);
    for (size_t i = 0; i < n_hosts; i++)
        if (pg_host_of(options, i, &host) && host.name == NULL && host.address == NULL)
            return error_set(ret_error, ERROR_CONFIG, "uri: host %zu of the list has no name", i + 1);
    return 0;
}

int pg_check_transport(const struct store_settings *settings, const char **ret_sslmode, struct error *ret_error)
{
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(settings->uri, &message);
    const char *hosts, *sslmode;
    int result = 0;

    *ret_sslmode = NULL;
    if (options == NULL) {
        result = refuse_uri(settings->uri, message, ret_error);
        PQfreemem(message);
        return result;
    }
    hosts = hosts_of(options);
    sslmode = option_of(options, "sslmode");
    if (!is_local(hosts) && !settings->allow_plaintext) {
        if (sslmode == NULL)
            *ret_sslmode = "verify-full";
        else if (strcmp(sslmode, "verify-full") != 0)
            result = error_set(ret_error, ERROR_CONFIG,
                               "uri: sslmode=%s does not verify the server %s; use verify-full (with sslrootcert), or "
                               "allow_plaintext = true",
                               sslmode, hosts);
    }
    if (result == 0)
        result = check_lists(options, ret_error);
    PQconninfoFree(options);
    return result;
}
