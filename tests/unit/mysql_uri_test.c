/*
 * mysql_uri_test - what mysql:// URIs say, and what is refused. No server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "store/mysql.h"

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static void test_all_parts(void **state)
{
    struct my_uri uri;
    struct error error = {0};

    (void)state;
    assert_int_equal(my_uri_read("mysql://re%40der:p%3Aw%25@db.example.com:3307/vi%65w%23s?ssl-ca=/etc/ca.pem&tls=unverified&ssl-cert=c&ssl-key=k",
                                 &uri, &error), 0);
    assert_string_equal(uri.user, "re@der");
    assert_string_equal(uri.password, "p:w%");
    assert_string_equal(uri.host, "db.example.com");
    assert_int_equal(uri.port, 3307);
    assert_string_equal(uri.database, "view#s");
    assert_string_equal(uri.ca, "/etc/ca.pem");
    assert_string_equal(uri.certificate, "c");
    assert_string_equal(uri.key, "k");
    assert_true(uri.is_unverified);
    assert_false(uri.is_plain);
    assert_false(my_uri_is_local(&uri));
    my_uri_free(&uri);
}

static void test_defaults(void **state)
{
    struct my_uri uri;
    struct error error = {0};

    (void)state;
    assert_int_equal(my_uri_read("mariadb://localhost/views", &uri, &error), 0);
    assert_int_equal(uri.port, 3306);
    assert_null(uri.user);
    assert_null(uri.password);
    assert_null(uri.ca);
    assert_false(uri.is_plain || uri.is_unverified);
    assert_true(my_uri_is_local(&uri));
    my_uri_free(&uri);
    assert_int_equal(my_uri_read("mysql://u@[::1]:3308/views?tls=off", &uri, &error), 0);
    assert_string_equal(uri.host, "::1");
    assert_int_equal(uri.port, 3308);
    assert_true(uri.is_plain);
    my_uri_free(&uri);
    assert_int_equal(my_uri_read("mysql://u@/views?socket=/run/mysqld/mysqld.sock", &uri, &error), 0);
    assert_string_equal(uri.socket, "/run/mysqld/mysqld.sock");
    assert_true(my_uri_is_local(&uri));
    my_uri_free(&uri);
}

static void refused(const char *text, const char *words)
{
    struct my_uri uri;
    struct error error = {0};

    assert_int_equal(my_uri_read(text, &uri, &error), ERROR_CONFIG);
    if (strstr(error.text, words) == NULL)
        fail_msg("%s: \"%s\" instead of \"%s\"", text, error.text, words);
    assert_null(strstr(error.text, "secret")); /* nothing of it is repeated: it may be a password */
    assert_null(uri.host);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    refused("postgresql://h/d", "does not begin with mysql://");
    refused("", "does not begin with mysql://");
    refused("mysql://", "no database");
    refused("mysql://h", "no database");
    refused("mysql://h/", "no database is named");
    refused("mysql://h?x=1", "no database");
    refused("mysql:///d", "neither a host nor a socket");
    refused("mysql://u@h:/d", "port");
    refused("mysql://u@h:0/d", "port");
    refused("mysql://u@h:65536/d", "port");
    refused("mysql://u@h:33x/d", "port");
    refused("mysql://u@[::1/d", "']'");
    refused("mysql://u@[::1]x/d", "between host and");
    refused("mysql://u:secret%@h/d", "%25");
    refused("mysql://u:secret%g1@h/d", "%25");
    refused("mysql://u%00:secret@h/d", "user");
    refused("mysql://u@h/d?tls=maybe", "tls is neither");
    refused("mysql://u@h/d?ssl-mode=off", "none of socket, tls");
    refused("mysql://u@h/d?socket", "none of socket, tls");
    refused("mysql://u@h/d?socket=mysqld.sock", "no absolute path");
    refused("mysql://u@h/d#secret", "a '#' stands behind");
    refused("mysql://u@h/d?ssl-ca=secret#1", "a '#' stands behind");
    refused("mysql://u@h1,h2/d", "several hosts");
    refused("mysql://u@h1:3306,h2:3306/d", "several hosts");
    refused("mysql://u@h/d?tls=off&tls=verified", "tls stands twice");
    refused("mysql://u@h/d?ssl-ca=secret&ssl-ca=b", "a parameter stands twice");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_parts),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_what_is_refused),
    };

    return cmocka_run_group_tests_name("mysql_uri", tests, NULL, NULL);
}
