/*
 * mysql_client - where MariaDB's Connector/C and Oracle's libmysqlclient differ. See mysql.h.
 */
#include <config.h>

#include "store/mysql.h"

#include <unistd.h>

#ifdef MYSQL_CLIENT_MARIADB

int my_client_set_tls(MYSQL *connection, const struct my_uri *uri, bool is_plain, struct error *ret_error)
{
    my_bool is_on = !is_plain, is_verified = !is_plain && !uri->is_unverified;

    if (mysql_optionsv(connection, MYSQL_OPT_SSL_ENFORCE, &is_on) != 0 ||
        mysql_optionsv(connection, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &is_verified) != 0)
        return error_set(ret_error, ERROR_CONFIG, "this client library cannot ask for TLS");
    if (!is_plain && (uri->ca != NULL || uri->certificate != NULL))
        mysql_ssl_set(connection, uri->key, uri->certificate, uri->ca, NULL, NULL);
    return 0;
}

int my_client_socket(MYSQL *connection)
{
    return (int)mysql_get_socket(connection);
}

#else

enum { BUNDLES = 2 };

/* It does not look at the system's certificates by itself. */
static const char *const bundles[BUNDLES] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"};

int my_client_set_tls(MYSQL *connection, const struct my_uri *uri, bool is_plain, struct error *ret_error)
{
    unsigned mode = is_plain ? SSL_MODE_DISABLED : uri->is_unverified ? SSL_MODE_REQUIRED : SSL_MODE_VERIFY_IDENTITY;
    bool asks_key = is_plain;

    if (mysql_options(connection, MYSQL_OPT_SSL_MODE, &mode) != 0)
        return error_set(ret_error, ERROR_CONFIG, "this client library cannot ask for TLS");
    mysql_options(connection, MYSQL_OPT_GET_SERVER_PUBLIC_KEY, &asks_key);
    if (is_plain)
        return 0;
    if (!uri->is_unverified) /* with a CA it would verify all the same */
        mysql_options(connection, MYSQL_OPT_SSL_CA, uri->ca != NULL ? uri->ca : bundles[access(bundles[0], R_OK) != 0]);
    if (uri->certificate != NULL)
        mysql_options(connection, MYSQL_OPT_SSL_CERT, uri->certificate);
    if (uri->key != NULL)
        mysql_options(connection, MYSQL_OPT_SSL_KEY, uri->key);
    return 0;
}

int my_client_socket(MYSQL *connection)
{
    return (int)connection->net.fd;
}

#endif
