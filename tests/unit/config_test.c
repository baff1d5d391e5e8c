/*
 * config: what a file means, and what is said when it means nothing: each bad input has its place and its way out.
 *
 * READSIDE_UPDATE=1 writes the sample and the manual's key section anew instead of comparing them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "config/client_property.h"
#include "config/config.h"
#include "config/keys.h"
#include "config/secrets.h"
#include "config/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *data, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *data, size_t size);

void *__real_arena_alloc(struct arena *arena, size_t size_bytes);
void *__real_arena_zalloc(struct arena *arena, size_t size_bytes);
char *__real_arena_copy(struct arena *arena, const void *data, size_t size_bytes);
void *__wrap_arena_alloc(struct arena *arena, size_t size_bytes);
void *__wrap_arena_zalloc(struct arena *arena, size_t size_bytes);
char *__wrap_arena_copy(struct arena *arena, const void *data, size_t size_bytes);

static long allocations_left = -1; /* negative: without end */

static bool may_allocate(void)
{
    return allocations_left < 0 || allocations_left-- > 0;
}

void *__wrap_malloc(size_t size)
{
    return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return may_allocate() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *data, size_t size)
{
    return may_allocate() ? __real_realloc(data, size) : NULL;
}

/* An arena's block serves many: each of them may be the one that finds it full. */
void *__wrap_arena_alloc(struct arena *arena, size_t size_bytes)
{
    return may_allocate() ? __real_arena_alloc(arena, size_bytes) : NULL;
}

void *__wrap_arena_zalloc(struct arena *arena, size_t size_bytes)
{
    return may_allocate() ? __real_arena_zalloc(arena, size_bytes) : NULL;
}

char *__wrap_arena_copy(struct arena *arena, const void *data, size_t size_bytes)
{
    return may_allocate() ? __real_arena_copy(arena, data, size_bytes) : NULL;
}

/* ---- Files ---- */

static char directory[64];

static int enter_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/readside-config-XXXXXX");
    return mkdtemp(directory) == NULL ? -1 : 0;
}

static int remove_directory(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf -- '%s'", directory);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static void write_bytes(const char *path, const void *data, size_t size)
{
    FILE *file;

    unlink(path); /* it may belong to somebody else by now */
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static const char *write_file(const char *name, const char *text, mode_t mode)
{
    const char *path = path_of(name);

    write_bytes(path, text, strlen(text));
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static struct config *load(const char *text)
{
    const char *path = write_file("test.conf", text, 0600);
    struct buffer problems = BUFFER_INIT;
    struct config *config = NULL;
    struct error error;

    if (config_load(path, &config, &problems, &error) != 0) {
        fail_msg("%s", problems.data);
    }
    assert_int_equal(problems.size, 0);
    buffer_free(&problems);
    return config;
}

/* The problems of a text, one a line, "DIR/" taken out. */
static struct buffer problems_of(const char *text)
{
    const char *path = write_file("test.conf", text, 0600);
    struct buffer problems = BUFFER_INIT;
    struct config *config = NULL;
    struct error error = {0};
    size_t size = strlen(directory) + 1;

    assert_int_equal(config_load(path, &config, &problems, &error), ERROR_CONFIG);
    assert_null(config);
    assert_int_equal(error.class, ERROR_CONFIG);
    assert_true(problems.size > 0);
    assert_non_null(strstr(error.text, ".conf"));
    for (char *at = problems.data; (at = strstr(at, directory)) != NULL;) {
        memmove(at, at + size, strlen(at + size) + 1);
    }
    return problems;
}

static void expect(const char *text, const char *problem)
{
    struct buffer problems = problems_of(text);

    if (strstr(problems.data, problem) == NULL) {
        fail_msg("expected: %s\nfound: %s", problem, problems.data);
    }
    buffer_free(&problems);
}

/* Exactly this one. */
static void expect_only(const char *text, const char *problem)
{
    struct buffer problems = problems_of(text);

    assert_true(problems.size > 0 && problems.data[problems.size - 1] == '\n');
    problems.data[strlen(problems.data) - 1] = '\0';
    assert_string_equal(problems.data, problem);
    buffer_free(&problems);
}

#define KAFKA "kafka = { bootstrap_servers = \"localhost:9092\"; };\n"
#define STORE "stores = { main = { kind = \"sqlite\"; uri = \"rows.db\"; }; };\n"
#define PIPELINE(keys) "pipelines = { accounts = { topics = \"bank\"; plugin = \"bank\"; " keys " }; };\n"
#define KAFKA_WITH(keys) "kafka = { bootstrap_servers = \"localhost:9092\"; " keys " };\n" STORE PIPELINE("")
#define STORE_WITH(keys) KAFKA "stores = { main = { kind = \"postgresql\"; " keys " }; };\n" PIPELINE("")
#define PIPELINE_WITH(keys) KAFKA STORE PIPELINE(keys)
#define WORKER_WITH(keys) "worker = { " keys " };\n" KAFKA STORE PIPELINE("")

/* ---- What a file means ---- */

static void test_defaults(void **state)
{
    struct config *config = load(PIPELINE_WITH(""));
    const struct config_pipeline *pipeline = config_find_pipeline(config, "accounts");

    (void)state;
    assert_int_equal(config->n_pipelines, 1);
    assert_ptr_equal(pipeline, &config->pipelines[0]);
    assert_null(config_find_pipeline(config, "nobody"));
    assert_string_equal(pipeline->group_id, "readside-accounts-v1");
    assert_null(pipeline->group_instance_id);
    assert_ptr_equal(pipeline->store, &config->stores[0]);
    assert_int_equal(pipeline->version, 1);
    assert_int_equal(pipeline->tasks, 1);
    assert_string_equal(pipeline->start, "earliest");
    assert_string_equal(pipeline->assignor, "cooperative-sticky");
    assert_string_equal(pipeline->type_from, "payload:type");
    assert_string_equal(pipeline->time_from, "none");
    assert_string_equal(pipeline->unhandled, "skip");
    assert_string_equal(pipeline->gaps, "allow");
    assert_string_equal(pipeline->on_error, "stop");
    assert_int_equal(pipeline->batch_rows, 50000);
    assert_int_equal(pipeline->batch_bytes, 8 << 20);
    assert_int_equal(pipeline->batch_time_us, 5000000);
    assert_int_equal(pipeline->commit_interval_us, 0);
    assert_int_equal(pipeline->fetch_queue_bytes, 2 << 20);
    assert_int_equal(pipeline->row_cache_bytes, 16 << 20);
    assert_true(pipeline->is_enabled);
    assert_int_equal(pipeline->topics.n, 1);
    assert_string_equal(pipeline->topics.items[0], "bank");
    assert_int_equal(pipeline->options.n, 0);
    assert_string_equal(pipeline->place, path_of("test.conf:3"));
    assert_int_equal(config->kafka.session_timeout_us, 10000000);
    assert_int_equal(config->kafka.properties.n, 1);
    assert_string_equal(config->kafka.properties.items[0].name, "security.protocol");
    assert_string_equal(config->kafka.properties.items[0].value, "plaintext");
    assert_int_equal(config->worker.restart_delay_us, 500000);
    assert_int_equal(config->worker.restart_delay_max_us, 30000000);
    assert_int_equal(config->worker.shutdown_timeout_us, 5000000);
    assert_int_equal(config->worker.stall_timeout_us, 60000000);
    assert_true(strlen(config->worker.name) > 0);
    assert_true(strlen(config->worker.plugin_path) > 0);
    assert_string_equal(config->stores[0].name, "main");
    assert_string_equal(config->stores[0].schema, "create");
    assert_int_equal(config->stores[0].statement_timeout_us, 60000000);
    assert_null(config_free(config));
    assert_null(config_free(NULL));
}

static const char full[] =
    "worker = { name = \"w-1.eu\"; plugin_path = \"plugins:/usr/lib/x\"; log_level = \"debug\"; log_format = \"json\"; };\n"
    "kafka = { bootstrap_servers = \"a:9092, [::1]:9093,c\"; security_protocol = \"sasl_ssl\"; ssl_ca_location = \"ca.pem\";\n"
    "  sasl_mechanism = \"SCRAM-SHA-512\"; sasl_username = \"u\"; sasl_password = \"env:READSIDE_TEST_SECRET\";\n"
    "  session_timeout = \"6s\"; properties = { fetch_wait_max_ms = 50; socket_keepalive_enable = true; client_rack = \"r\"; }; "
    "};\n"
    "stores = { main = { kind = \"postgresql\"; uri = \"postgresql://u@h/d\"; password = \"file:secret\"; schema = \"check\";\n"
    "    pooled = true; allow_plaintext = true; allow_constraints = true; connect_timeout = \"3s\"; lock_timeout = \"50ms\"; };\n"
    "  lite = { kind = \"sqlite\"; uri = \"rows.db\"; }; };\n"
    "pipelines = { accounts = { topics = [ \"bank\", \"^bank[.]x\" ]; plugin = \"./bank.so\"; store = \"main\"; version = 3;\n"
    "    options = { daily_totals = true; limit = 7; rate = 0.1; big = 5000000000L; note = \"a\\\"b\"; api_token = \"t\"; };\n"
    "    tasks = 2; start = \"2026-11-23T04:00:00Z\"; enabled = false; group_instance_id = \"x\"; assignor = \"range\";\n"
    "    type_from = \"header:ce_type\"; id_from = \"none\"; version_from = \"header:v\"; time_from = \"payload:at\";\n"
    "    unhandled = \"stop\"; gaps = \"forbid\"; batch_rows = 10; batch_bytes = \"1MiB\"; batch_time = \"250ms\";\n"
    "    commit_interval = \"100ms\"; fetch_queue = 100000; row_cache = 0; }; };\n";

static const char *property(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->kafka.properties.n; i++) {
        if (strcmp(config->kafka.properties.items[i].name, name) == 0) {
            return config->kafka.properties.items[i].value;
        }
    }
    return NULL;
}

static const char *option(const struct config_pipeline *pipeline, const char *name)
{
    for (size_t i = 0; i < pipeline->options.n; i++) {
        if (strcmp(pipeline->options.items[i].name, name) == 0) {
            return pipeline->options.items[i].value;
        }
    }
    return NULL;
}

static struct config *load_full(void)
{
    setenv("READSIDE_TEST_SECRET", "hunter2", 1);
    write_file("secret", "hunter3\n", 0600);
    return load(full);
}

static void test_every_kind_of_value(void **state)
{
    struct config *config = load_full();
    const struct config_pipeline *pipeline = config_find_pipeline(config, "accounts");
    const struct config_store *store = pipeline->store;
    char expected[256];

    (void)state;
    assert_string_equal(config->worker.name, "w-1.eu");
    snprintf(expected, sizeof expected, "%s/plugins:/usr/lib/x", directory);
    assert_string_equal(config->worker.plugin_path, expected);
    assert_string_equal(property(config, "security.protocol"), "sasl_ssl");
    assert_string_equal(property(config, "ssl.ca.location"), path_of("ca.pem"));
    assert_string_equal(property(config, "sasl.mechanism"), "SCRAM-SHA-512");
    assert_string_equal(property(config, "sasl.password"), "hunter2");
    assert_string_equal(property(config, "fetch.wait.max.ms"), "50");
    assert_string_equal(property(config, "socket.keepalive.enable"), "true");
    assert_string_equal(property(config, "client.rack"), "r");
    assert_string_equal(store->name, "main");
    assert_string_equal(store->password, "hunter3");
    assert_true(store->is_pooled && store->allow_plaintext && store->allow_constraints);
    assert_int_equal(store->lock_timeout_us, 50000);
    assert_string_equal(config->stores[1].uri, path_of("rows.db"));
    assert_string_equal(pipeline->plugin, path_of("./bank.so"));
    assert_string_equal(pipeline->group_id, "readside-accounts-v3");
    assert_int_equal(pipeline->topics.n, 2);
    assert_false(pipeline->is_enabled);
    assert_int_equal(pipeline->fetch_queue_bytes, 100000);
    assert_int_equal(pipeline->row_cache_bytes, 0);
    assert_string_equal(option(pipeline, "daily_totals"), "true");
    assert_string_equal(option(pipeline, "limit"), "7");
    assert_string_equal(option(pipeline, "rate"), "0.1");
    assert_string_equal(option(pipeline, "big"), "5000000000");
    assert_string_equal(option(pipeline, "note"), "a\"b");
    assert_string_equal(pipeline->options.items[0].place, path_of("test.conf:9"));
    config_free(config);
}

/* A dump is a config again, with the same meaning, and gives no secret away. */
static void test_dump_can_be_loaded_and_hides_secrets(void **state)
{
    struct config *config = load_full();
    struct buffer first = BUFFER_INIT;
    struct buffer second = BUFFER_INIT;
    char *token;

    (void)state;
    config_dump(config, NULL, NULL, &first);
    assert_false(buffer_failed(&first));
    assert_null(strstr(first.data, "hunter"));
    assert_non_null(strstr(first.data, "sasl_password = \"env:READSIDE_TEST_SECRET\";"));
    assert_non_null(strstr(first.data, "password = \"file:secret\";"));
    token = strstr(first.data, "api_token = \"(hidden)\"");
    assert_non_null(token);
    config_free(config);
    config = load(first.data);
    config_dump(config, NULL, NULL, &second);
    assert_string_equal(second.data, first.data);
    config_free(config);
    buffer_free(&first);
    buffer_free(&second);
}

static void test_dump_masks_passwords_in_uris(void **state)
{
    struct config *config =
        load("worker = { allow_literal_secrets = true; };\n" KAFKA
             "stores = { a = { kind = \"postgresql\"; uri = \"postgresql://u:hunter2@h/d?sslpassword=hunter3\"; };\n"
             "b = { kind = \"postgresql\"; uri = \"host=h password = 'hunter 4' user=u\"; };\n"
             "c = { kind = \"postgresql\"; uri = \"host=h\"; password = \"hunter5\"; };\n"
             "d = { kind = \"sqlite\"; uri = \"/my password/rows.db\"; }; };\n" PIPELINE("store = \"a\";"));
    struct buffer text = BUFFER_INIT;

    (void)state;
    assert_string_equal(config->stores[2].password, "hunter5");
    config_dump(config, NULL, NULL, &text);
    assert_null(strstr(text.data, "hunter"));
    assert_non_null(strstr(text.data, "\"postgresql://u:***@h/d?sslpassword=***\""));
    assert_non_null(strstr(text.data, "\"host=h password = '***' user=u\""));
    assert_non_null(strstr(text.data, "password = \"(hidden)\""));
    assert_non_null(strstr(text.data, "uri = \"/my password/rows.db\""));
    buffer_free(&text);
    config_free(config);
}

static void test_passwords_in_uris_are_seen(void **state)
{
    (void)state;
    assert_true(secret_is_in_uri("postgresql://u:p@h/d"));
    assert_true(secret_is_in_uri("postgresql://h/d?user=u&password=p"));
    assert_true(secret_is_in_uri("host=h PASSWORD=p"));
    assert_true(secret_is_in_uri("postgres://u:p:q@[::1]:5432/d"));
    assert_false(secret_is_in_uri("postgresql://u@h:5432/d"));
    assert_false(secret_is_in_uri("postgresql://u:@h/d"));
    assert_false(secret_is_in_uri("postgresql://h:5432/d?application_name=a:b@c"));
    assert_false(secret_is_in_uri("host=h passfile=/x user=u"));
    assert_false(secret_is_in_uri("postgresql://h/password"));
    assert_true(secret_is_in_uri("postgresql://h/d?ssl%70assword=p"));
    assert_false(secret_is_in_uri("host=h application_name='password=p'"));
    assert_false(secret_is_in_uri("host=h password='' user=u"));
    assert_false(secret_is_in_uri("host=h options='-c x=a://u:p@h'"));
}

static void expect_masked(const char *uri, const char *expected)
{
    struct arena *arena = arena_new(0, 0);

    assert_string_equal(secret_mask_uri(arena, uri), expected);
    arena_free(arena);
}

static void test_passwords_in_uris_are_hidden(void **state)
{
    (void)state;
    expect_masked("host=h password='a\\'b c' user=u", "host=h password='***' user=u");
    expect_masked("host=h password='a\\\\' user=u", "host=h password='***' user=u");
    expect_masked("password=a\\ b\\'c user=u", "password=*** user=u");
    expect_masked("password=a\nuser=u sslpassword='b'", "password=***\nuser=u sslpassword='***'");
    expect_masked("options='password=' password='a b'user=u", "options='password=' password='***'user=u");
    expect_masked("options='x://y' password='a&b'", "options='x://y' password='***'");
    expect_masked("host=h password='a b", "host=h password=***");
    expect_masked("host=h password=a b", "host=h password=*** ***");
    expect_masked("host=h password a", "host=h ***");
    expect_masked("host=h views", "host=h views");
    expect_masked("postgresql://u:a:b@c@h:5432/d?password=e#f&x=y", "postgresql://u:***@h:5432/d?password=***&x=y");
    expect_masked("postgresql://u:a?b#c@h/d", "postgresql://u:***@h/d");
    expect_masked("postgresql://u:a/b@h/d", "postgresql://u:***@h/d");
    expect_masked("postgresql://h/d?ssl%50ass%77ord=a?b%26c&user=u", "postgresql://h/d?ssl%50ass%77ord=***&user=u");
    expect_masked("postgresql://h1:5432,[::1]:5433/d?user=a:b@c", "postgresql://h1:5432,[::1]:5433/d?user=a:b@c");
}

/* As its form wants it, beside what must be seen. */
static void put_password(struct buffer *uri, unsigned form, const char *password)
{
    static const char *const heads[] = {"user=u password='", "user=u password = ", "postgresql://u:", "postgresql://u@h/d?password="};
    static const char *const tails[] = {"' host=h", " host=h", "@h/d?x=y", "&x=y"};
    static const char *const escaped[] = {"'\\", "'\\ \t\n", "%/@:", "%&"};

    buffer_puts(uri, heads[form]);
    for (; *password != '\0'; password++) {
        if (strchr(escaped[form], *password) == NULL) {
            buffer_putc(uri, *password);
        } else {
            buffer_printf(uri, form < 2 ? "\\%c" : "%%%02x", *password);
        }
    }
    buffer_puts(uri, tails[form]);
}

/* Every second character is a Q, which stands nowhere else. */
static void test_no_part_of_a_password_is_seen(void **state)
{
    static const char alphabet[] = "'\\ \t\n%&@:/?#=a*";
    uint64_t random = 11;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        struct arena *arena = arena_new(0, 0);
        struct buffer uri = BUFFER_INIT;
        char password[20] = "";
        size_t size = 2 * (1 + random_next(&random) % 8);
        const char *masked;

        for (size_t i = 0; i < size; i++) {
            password[i] = i % 2 == 1 ? 'Q' : alphabet[random_next(&random) % (sizeof alphabet - 1)];
        }
        put_password(&uri, round % 4, password);
        masked = secret_mask_uri(arena, uri.data);
        assert_true(secret_is_in_uri(uri.data));
        if (strchr(masked, 'Q') != NULL || strstr(masked, "***") == NULL || strstr(masked, round % 4 < 2 ? "host=h" : "x=y") == NULL) {
            fail_msg("%s\nis shown as %s", uri.data, masked);
        }
        buffer_free(&uri);
        arena_free(arena);
    }
}

/* ---- Includes ---- */

static void test_includes_keep_their_lines(void **state)
{
    char text[512];

    (void)state;
    mkdir(path_of("sub"), 0700);
    write_file("sub/stores.conf",
               "# a \"comment\n@include \"more.conf\"\nstores = { main = { kind = \"sqlite\"; ury = \"x\"; }; };\n", 0600);
    write_file("sub/more.conf", "kafka = {\n bootstrap_servers = \"a:b\"; };", 0600);
    snprintf(text, sizeof text,
             "/* @include \"nowhere\" */\n@include \"sub/stores.conf\" # here\npipelines = { a = {\n  topics = 1;\n plugin = "
             "\"x\"; }; };\n");
    expect(text, "sub/more.conf:2: kafka.bootstrap_servers: \"a:b\" is not host:port");
    expect(text, "sub/stores.conf:3: unknown key `ury' in stores.main; did you mean `uri'?");
    expect(text, "test.conf:4: pipelines.a.topics is a whole number; it must be a list of texts");
    snprintf(text, sizeof text, "x = \"\n@include \\\"nowhere\\\"\n\";\n@include \"%s/sub/more.conf\"\n", directory);
    expect(text, "test.conf:1: unknown group `x'");
    expect(text, "sub/more.conf:2: kafka.bootstrap_servers");
}

static void test_includes_that_fail(void **state)
{
    (void)state;
    expect_only("\n@include \"nowhere.conf\"\n", "test.conf:2: cannot read nowhere.conf: No such file or directory");
    expect("@include \"test.conf\"\n", "does a file include itself?");
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
    expect_only("@include \"pipe\"\n", "test.conf:1: cannot read pipe: not a regular file");
    write_file("open.conf", "worker = { name = \"x", 0600);
    expect_only("@include \"open.conf\"\n", "open.conf:1: the text (\") that begins here does not end");
    expect_only("kafka = {};\n/* open\n\n", "test.conf:2: the comment (/*) that begins here does not end");
}

static void test_files_that_cannot_be_read(void **state)
{
    struct config *config = NULL;
    struct buffer problems = BUFFER_INIT;
    struct error error;
    char *large;

    (void)state;
    assert_int_equal(config_load(path_of("absent.conf"), &config, &problems, &error), ERROR_CONFIG);
    assert_non_null(strstr(error.text, "absent.conf has 1 problem"));
    assert_non_null(strstr(problems.data, "absent.conf: No such file or directory\n"));
    assert_int_equal(config_load(directory, &config, NULL, &error), ERROR_CONFIG);
    assert_non_null(strstr(error.text, "Is a directory"));
    write_bytes(path_of("test.conf"), "a = 1;\nb\0 = 2;\n", 15);
    assert_int_equal(config_load(path_of("test.conf"), &config, NULL, &error), ERROR_CONFIG);
    assert_non_null(strstr(error.text, "test.conf:2: not valid UTF-8 text"));
    large = __real_calloc(1, 5 << 20);
    assert_non_null(large);
    memset(large, '\n', 5 << 20);
    write_bytes(path_of("test.conf"), large, 5 << 20);
    free(large);
    assert_int_equal(config_load(path_of("test.conf"), &config, NULL, &error), ERROR_CONFIG);
    assert_non_null(strstr(error.text, "too large"));
    buffer_free(&problems);
}

/* ---- Bad input: place and way out ---- */

static void test_syntax(void **state)
{
    (void)state;
    expect("kafka = {\n bootstrap_servers = \"x\"\n session_timeout 5; };", "test.conf:3: syntax error here or just before");
    expect("kafka = { };\nkafka = { };", "test.conf:2: duplicate setting name");
}

static void test_unknown_names(void **state)
{
    (void)state;
    expect_only(KAFKA STORE "pipelines = { accounts = {\n tpoics = [ \"bank\" ]; plugin = \"bank\"; }; };",
                "test.conf:4: unknown key `tpoics' in pipelines.accounts; did you mean `topics'?");
    expect(KAFKA STORE "pipeline = { };", "test.conf:3: unknown group `pipeline'; did you mean `pipelines'?");
    expect(PIPELINE_WITH("") "elsewhere = 1;",
           "test.conf:4: unknown group `elsewhere'; there are worker, kafka, stores and pipelines");
    expect_only(KAFKA_WITH("log_level = \"info\";"), "test.conf:1: unknown key `log_level' in kafka; it belongs to worker");
    expect_only(KAFKA_WITH("nonsense_of_mine = 1;"),
                "test.conf:1: unknown key `nonsense_of_mine' in kafka; see readside.conf(5) for those there are");
}

static void test_missing_things(void **state)
{
    (void)state;
    expect("", "test.conf: kafka needs the key `bootstrap_servers', for example bootstrap_servers = \"localhost:9092\";");
    expect("", "test.conf: no store is defined; add stores = {");
    expect("", "test.conf: no pipeline is defined; add pipelines = {");
    expect_only(KAFKA STORE "pipelines = {\n a = { topics = \"x\"; }; };",
                "test.conf:4: pipelines.a needs the key `plugin', for example plugin = \"bank\";");
    expect_only(KAFKA "stores = { a = { uri = \"x\"; }; };" PIPELINE(""),
                "test.conf:2: stores.a needs the key `kind', for example kind = \"postgresql\";");
    expect_only(KAFKA
                "stores = { a = { kind = \"sqlite\"; uri = \"x\"; }; b = { kind = \"sqlite\"; uri = \"y\"; }; };\n" PIPELINE(""),
                "test.conf:3: pipelines.accounts needs the key `store': there are several to choose from");
}

static void test_wrong_shapes(void **state)
{
    (void)state;
    expect_only(PIPELINE_WITH("enabled = \"yes\";"),
                "test.conf:3: pipelines.accounts.enabled is a text; it must be true or false, without quotes");
    expect_only(PIPELINE_WITH("tasks = \"2\";"),
                "test.conf:3: pipelines.accounts.tasks is a text; it must be a whole number, without quotes");
    expect_only(PIPELINE_WITH("tasks = 2.0;"),
                "test.conf:3: pipelines.accounts.tasks is a number; it must be a whole number, without quotes");
    expect_only(PIPELINE_WITH("start = 5;"),
                "test.conf:3: pipelines.accounts.start is a whole number; it must be a text in quotes");
    expect_only(PIPELINE_WITH("batch_time = 5;"),
                "test.conf:3: pipelines.accounts.batch_time = 5 has no unit; write \"5s\" or \"5ms\"");
    expect_only(PIPELINE_WITH("batch_time = 0.5;"),
                "test.conf:3: pipelines.accounts.batch_time is a number; it must be a duration in quotes, such as \"5s\"");
    expect(PIPELINE_WITH("batch_time = \"5m\";"),
           "pipelines.accounts.batch_time = \"5m\" is no duration; write a number and us, ms,");
    expect(PIPELINE_WITH("batch_bytes = \"8 MB\";"),
           "pipelines.accounts.batch_bytes = \"8 MB\" is no size; write a number and KiB,");
    expect(PIPELINE_WITH("batch_bytes = true;"), "pipelines.accounts.batch_bytes is a boolean; it must be a size in quotes");
    expect(PIPELINE_WITH("options = \"x\";"), "pipelines.accounts.options is a text; it must be a group: { name = value; }");
    expect(PIPELINE_WITH("options = {\n a = [ 1 ]; };"),
           "test.conf:4: pipelines.accounts.options.a is a list; it must be a text,");
    expect(PIPELINE_WITH("group_id = \"\";"), "pipelines.accounts.group_id is empty; leave the key out for its default");
    expect(PIPELINE_WITH("store = 1;"), "pipelines.accounts.store is a whole number; it must be the name of a store");
    expect(KAFKA STORE "pipelines = { a = { plugin = \"x\"; topics = [ ]; }; };", "pipelines.a.topics is an empty list");
    expect(KAFKA STORE "pipelines = { a = { plugin = \"x\"; topics = [ \"\" ]; }; };", "pipelines.a.topics holds an empty text");
    expect(KAFKA STORE "pipelines = { a = { plugin = \"x\"; topics = ( \"a\", 1 ); }; };",
           "pipelines.a.topics is a list; it must be a list of texts");
    expect("kafka = 1;\n" STORE, "test.conf:1: kafka must be a group: kafka = { ... };");
    expect(KAFKA "stores = { main = \"x\"; };", "test.conf:2: stores.main must be a group: main = { ... };");
}

static void test_ranges(void **state)
{
    (void)state;
    expect_only(PIPELINE_WITH("tasks = 0;"), "test.conf:3: pipelines.accounts.tasks = 0 is out of range: 1 to 64");
    expect_only(PIPELINE_WITH("version = 0;"), "test.conf:3: pipelines.accounts.version = 0 is out of range: 1 to 1000000");
    expect_only(PIPELINE_WITH("batch_rows = 0;"), "test.conf:3: pipelines.accounts.batch_rows = 0 is out of range: 1 to 1000000");
    expect_only(PIPELINE_WITH("batch_bytes = \"1KiB\";"),
                "test.conf:3: pipelines.accounts.batch_bytes = 1KiB is out of range: 64KiB to 1GiB");
    expect_only(PIPELINE_WITH("batch_time = \"1us\";"),
                "test.conf:3: pipelines.accounts.batch_time = 1us is out of range: 10ms to 1h");
    expect_only(KAFKA_WITH("session_timeout = \"5s\";"), "test.conf:1: kafka.session_timeout = 5s is out of range: 6s to 5min");
    expect_only(KAFKA_WITH("session_timeout = \"6min\";"),
                "test.conf:1: kafka.session_timeout = 6min is out of range: 6s to 5min");
    expect_only(PIPELINE_WITH("commit_interval = \"6s\";"),
                "test.conf:3: pipelines.accounts.commit_interval is above batch_time, which bounds a batch's age");
    expect_only(WORKER_WITH("restart_delay = \"1min\";"), "test.conf:1: worker.restart_delay is above restart_delay_max");
}

static void test_choices(void **state)
{
    (void)state;
    expect_only(PIPELINE_WITH("assignor = \"sticky\";"), "test.conf:3: pipelines.accounts.assignor = \"sticky\" is not known; it "
                                                         "is one of: cooperative-sticky, range, roundrobin");
    expect_only(PIPELINE_WITH("on_error = \"skip\";"),
                "test.conf:3: pipelines.accounts.on_error = \"skip\" is not known; it is one of: stop");
    expect(PIPELINE_WITH("unhandled = \"sk\";"), "is one of: skip, stop");
    expect(PIPELINE_WITH("unhandled = \"\";"), "is one of: skip, stop");
    expect(STORE_WITH("uri = \"x\"; schema = \"drop\";"),
           "stores.main.schema = \"drop\" is not known; it is one of: create, check");
    expect(WORKER_WITH("log_level = \"trace\";"),
           "worker.log_level = \"trace\" is not known; it is one of: error, warn, info, debug");
}

static void test_names(void **state)
{
    (void)state;
    expect(KAFKA STORE "pipelines = { Accounts = { topics = \"a\"; plugin = \"b\"; }; };",
           "test.conf:3: pipelines.Accounts: a name begins with a letter a-z");
    expect(KAFKA STORE "pipelines = { aaaaaaaaaabbbbbbbbbbccccccccccddddddddddx = { topics = \"a\"; plugin = \"b\"; }; };",
           "at most 40 bytes");
    expect_only(WORKER_WITH("name = \"a b\";"),
                "test.conf:1: worker.name = \"a b\": a worker's name has letters, digits, '.', '_' and '-', at most 64");
    expect_only(PIPELINE_WITH("store = \"mian\";"),
                "test.conf:3: pipelines.accounts.store: no store `mian' is defined; did you mean `main'?");
    expect_only(PIPELINE_WITH("store = \"other\";"),
                "test.conf:3: pipelines.accounts.store: no store `other' is defined; add it as stores = { other = { ... }; };");
    expect(KAFKA STORE "pipelines = { a = { topics = \"x\"; plugin = \"bank.so\"; }; };",
           "pipelines.a.plugin = \"bank.so\": write the name \"bank\", which is looked up in plugin_path, or a path "
           "(\"./bank.so\")");
    expect(KAFKA STORE "pipelines = { a = { topics = \"x\"; plugin = \"my bank\"; }; };",
           "pipelines.a.plugin = \"my bank\": a plugin's name has");
    expect(PIPELINE_WITH("group_instance_id = \"a b\";"), "pipelines.accounts.group_instance_id = \"a b\"");
}

static void test_topics(void **state)
{
    (void)state;
    expect_only(KAFKA STORE "pipelines = { a = { plugin = \"x\"; topics = [ \"a\", \"b\", \"a\" ]; }; };",
                "test.conf:3: pipelines.a.topics: \"a\" is listed twice");
    expect(KAFKA STORE "pipelines = { a = { plugin = \"x\"; topics = \"a b\"; }; };",
           "pipelines.a.topics: \"a b\" is no topic name");
    expect(KAFKA STORE "pipelines = { a = { plugin = \"x\"; topics = \"..\"; }; };", "\"..\" is no topic name");
    expect(KAFKA STORE "pipelines = { a = { plugin = \"x\"; topics = \"^a(\"; }; };",
           "pipelines.a.topics: \"^a(\" is no regular expression:");
}

static void test_origins_and_start(void **state)
{
    (void)state;
    expect(PIPELINE_WITH("type_from = \"none\";"),
           "type_from = \"none\" is not known; write payload:PATH, header:NAME or fixed:TYPE");
    expect(PIPELINE_WITH("type_from = \"fixed:\";"), "type_from = \"fixed:\" is not known");
    expect(PIPELINE_WITH("type_from = \"fixed:$tombstone\";"), "$tombstone is kept for records whose value is null");
    expect(PIPELINE_WITH("id_from = \"payload:\";"),
           "id_from = \"payload:\" is not known; write payload:PATH, header:NAME or none");
    expect(PIPELINE_WITH("time_from = \"at\";"), "time_from = \"at\" is not known");
    expect(PIPELINE_WITH("version_from = \"fixed:1\";"), "version_from = \"fixed:1\" is not known");
    expect(PIPELINE_WITH("start = \"2026-11-23\";"),
           "start = \"2026-11-23\" is not known; write earliest, latest or a time such as 2026-11-23T04:00:00Z");
}

static void test_two_of_a_kind(void **state)
{
    (void)state;
    expect_only(
        KAFKA STORE "pipelines = { a = { plugin = \"x\"; topics = \"t\"; group_id = \"g\"; };\n"
                    "b = { plugin = \"x\"; topics = \"t\"; group_id = \"g\"; }; };",
        "test.conf:4: pipelines.b.group_id \"g\" is that of pipeline a already; each pipeline needs a consumer group of its own");
    expect(KAFKA STORE "pipelines = { a = { plugin = \"x\"; topics = \"t\"; };\na = { }; };",
           "test.conf:4: duplicate setting name");
}

static void test_servers(void **state)
{
    static const char *const bad[] = {"a:0",  "a:65536",   "a:",     ":9092",      "a b:1", "a:1,,b:1",
                                      "a:1,", "[::1:9092", "[::1]x", "http://a:1", "a:b:c"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[512];

        snprintf(text, sizeof text, "kafka = { bootstrap_servers = \"%s\"; };\n" STORE PIPELINE(""), bad[i]);
        expect(text, "test.conf:1: kafka.bootstrap_servers: ");
        expect(text, "is not host:port; write them as");
    }
    expect_only(KAFKA_WITH("embedded = { bank = \"x\"; };"),
                "test.conf:1: kafka.embedded is for the embedded broker; set bootstrap_servers = \"embedded\" or leave it out");
    expect("kafka = { bootstrap_servers = \"embedded\"; security_protocol = \"ssl\"; };",
           "test.conf:1: kafka.security_protocol must be plaintext for the embedded broker");
}

static void test_embedded_broker(void **state)
{
    struct config *config =
        load("kafka = { bootstrap_servers = \"embedded\"; embedded = { bank = \"bank.jsonl\"; }; };\n" STORE PIPELINE(""));

    (void)state;
    assert_int_equal(config->kafka.embedded.n, 1);
    assert_string_equal(config->kafka.embedded.items[0].name, "bank");
    assert_string_equal(config->kafka.embedded.items[0].value, path_of("bank.jsonl"));
    assert_int_equal(config->kafka.embedded_partitions, 4);
    config_free(config);
}

/* Only plugin_path is a list. */
static void test_a_path_may_hold_a_colon(void **state)
{
    struct config *config = load(KAFKA_WITH("security_protocol = \"ssl\"; ssl_ca_location = \"c:a/ca.pem\";\n"
                                            "ssl_certificate_location = \"/t/c:1\"; ssl_key_location = \"k:2\";"));

    (void)state;
    assert_string_equal(property(config, "ssl.ca.location"), path_of("c:a/ca.pem"));
    assert_string_equal(property(config, "ssl.certificate.location"), "/t/c:1");
    assert_string_equal(property(config, "ssl.key.location"), path_of("k:2"));
    config_free(config);
}

static void test_kafka_security(void **state)
{
    (void)state;
    setenv("READSIDE_TEST_SECRET", "hunter2", 1);
    expect_only(KAFKA_WITH("sasl_username = \"u\";"),
                "test.conf:1: kafka.sasl_username has no effect with security_protocol = \"plaintext\"; use sasl_ssl");
    expect_only(KAFKA_WITH("ssl_ca_location = \"u\";"),
                "test.conf:1: kafka.ssl_ca_location has no effect with security_protocol = \"plaintext\"; use ssl or sasl_ssl");
    expect(KAFKA_WITH("security_protocol = \"sasl_ssl\";"),
           "kafka.security_protocol = \"sasl_ssl\" needs the key `sasl_mechanism'");
    expect_only(KAFKA_WITH("security_protocol = \"ssl\"; ssl_key_location = \"k\";"),
                "test.conf:1: kafka: ssl_certificate_location and ssl_key_location need each other");
}

static struct buffer sasl_plaintext_to(const char *servers)
{
    struct buffer text = BUFFER_INIT;

    buffer_printf(&text,
                  "kafka = { bootstrap_servers = \"%s\"; security_protocol = \"sasl_plaintext\"; sasl_mechanism = \"PLAIN\";\n"
                  "sasl_username = \"u\"; sasl_password = \"env:READSIDE_TEST_SECRET\"; };\n" STORE PIPELINE(""),
                  servers);
    return text;
}

static void test_passwords_go_to_this_machine_only(void **state)
{
    static const char *const local[] = {"localhost:9092", "localhost", "127.0.0.1:9092,[::1]:1", "127.1.2.3", "[::1]", "LOCALHOST:1"};
    static const char *const remote[] = {"k:9092", "k:9092,localhost:1", "localhost:1,k:9092", "127.example.com", "127.example.com:9092",
                                         "127.0.0.1,127.0.0.1.example.com:9092", "localhost.example.com", "[::2]:9092", "[::11]"};

    (void)state;
    setenv("READSIDE_TEST_SECRET", "hunter2", 1);
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        struct buffer text = sasl_plaintext_to(local[i]);

        config_free(load(text.data));
        buffer_free(&text);
    }
    for (size_t i = 0; i < sizeof remote / sizeof remote[0]; i++) {
        struct buffer text = sasl_plaintext_to(remote[i]);

        expect_only(text.data, "test.conf:1: kafka.security_protocol = \"sasl_plaintext\" shows the password to the network; use "
                               "sasl_ssl (or set kafka.allow_plaintext = true)");
        buffer_free(&text);
    }
}

static void test_client_properties(void **state)
{
    static const char *const owned[] = {
        "enable_auto_commit",
        "auto_offset_reset",
        "isolation_level",
        "group_id",
        "plugin_library_paths",
        "ssl_engine_location",
        "sasl_kerberos_kinit_cmd",
        "sasl_oauthbearer_token_endpoint_url",
        "sasl_oauthbearer_config",
        "https_ca_location",
        "enable_sasl_oauthbearer_unsecure_jwt",
        "enable_ssl_certificate_verification",
        "ssl_endpoint_identification_algorithm",
        "ssl_providers",
        "bootstrap_servers",
        "session_timeout_ms",
        "partition_assignment_strategy",
        "client_id",
        "group_protocol",
        "enable_partition_eof",
        "allow_auto_create_topics",
        "auto_commit_interval_ms",
        "offset_store_method",
        "metadata_broker_list",
        "queued_max_messages_kbytes",
        "sasl_password",
        "ssl_key_password",
        "security_protocol",
        "sasl_mechanisms",
    };
    char text[512];
    char expected[128];

    (void)state;
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        snprintf(text, sizeof text,
                 "kafka = { bootstrap_servers = \"a\"; properties = {\n %s = \"x\"; }; };\n" STORE PIPELINE(""), owned[i]);
        snprintf(expected, sizeof expected, "test.conf:2: kafka.properties.%s cannot be set: ", owned[i]);
        expect(text, expected);
        assert_non_null(client_property_refusal(owned[i]));
    }
    for (size_t i = 0; i < n_client_properties; i++) {
        assert_null(client_property_refusal(client_properties[i]));
        assert_true(i == 0 || strcmp(client_properties[i - 1], client_properties[i]) < 0);
    }
    expect(KAFKA_WITH("properties = { fetch_wait_ms = 1; };"),
           "kafka.properties.fetch_wait_ms is not among the properties allowed; did you mean `fetch_wait_max_ms'?");
    expect(KAFKA_WITH("properties = { transactional_id = \"x\"; };"),
           "kafka.properties.transactional_id is not among the properties allowed; readside.conf(5) lists them");
}

static void test_literal_secrets(void **state)
{
    struct buffer problems = problems_of(STORE_WITH("uri = \"x\"; password = \"hunter2\";"));

    (void)state;
    assert_string_equal(problems.data,
                        "test.conf:2: stores.main.password holds the secret itself; refer to it by \"env:NAME\" or "
                        "\"file:/path\" (or set worker.allow_literal_secrets = true)\n");
    buffer_free(&problems);
    problems = problems_of(STORE_WITH("uri = \"postgresql://u:hunter2@h/d\";"));
    assert_non_null(strstr(problems.data, "test.conf:2: stores.main.uri holds a password; take it out and set password"));
    assert_null(strstr(problems.data, "hunter"));
    buffer_free(&problems);
    setenv("READSIDE_TEST_URI", "postgresql://u:hunter2@h/d", 1);
    config_free(load(STORE_WITH("uri = \"env:READSIDE_TEST_URI\";")));
    setenv("READSIDE_TEST_SECRET", "x", 1);
    expect_only(STORE_WITH("uri = \"env:READSIDE_TEST_URI\"; password = \"env:READSIDE_TEST_SECRET\";"),
                "test.conf:2: stores.main.password is given twice: in uri and here");
    expect_only(
        KAFKA "stores = { main = { kind = \"sqlite\"; uri = \"x\"; password = \"env:READSIDE_TEST_SECRET\"; }; };\n" PIPELINE(""),
        "test.conf:2: stores.main.password has no meaning for sqlite; leave it out");
    expect_only(KAFKA "stores = { main = { kind = \"mysql\"; uri = \"mysql://u@h/d\"; pooled = true; }; };\n" PIPELINE(""),
                "test.conf:2: stores.main.pooled = true has no meaning for mysql; leave it out");
}

static void test_secrets_that_cannot_be_had(void **state)
{
    (void)state;
    unsetenv("READSIDE_TEST_NOTHING");
    expect_only(
        STORE_WITH("uri = \"x\"; password = \"env:READSIDE_TEST_NOTHING\";"),
        "test.conf:2: stores.main.password: the environment variable READSIDE_TEST_NOTHING is not set; set it where Readside is "
        "started, or use \"file:/path\"");
    setenv("READSIDE_TEST_NOTHING", "", 1);
    expect(STORE_WITH("uri = \"x\"; password = \"env:READSIDE_TEST_NOTHING\";"), "READSIDE_TEST_NOTHING is empty");
    expect(STORE_WITH("uri = \"x\"; password = \"file:absent\";"), "stores.main.password: cannot read absent: No such file");
    write_file("secret", "hunter2", 0604);
    expect(STORE_WITH("uri = \"x\"; password = \"file:secret\";"), "secret is open to everybody (mode 0604); chmod 600 it");
    write_file("secret", "hunter2", 0620);
    expect(STORE_WITH("uri = \"x\"; password = \"file:secret\";"), "secret is open to its group (mode 0620); chmod 600 it");
    write_file("secret", "\n", 0600);
    expect(STORE_WITH("uri = \"x\"; password = \"file:secret\";"), "secret is empty");
    write_file("secret", "one\ntwo\n", 0600);
    expect(STORE_WITH("uri = \"x\"; password = \"file:secret\";"), "secret holds more than one line");
    mkdir(path_of("folder"), 0700);
    expect(STORE_WITH("uri = \"x\"; password = \"file:folder\";"), "folder is not a regular file");
}

static void test_secret_files(void **state)
{
    struct arena *arena = arena_new(1024, 0);
    const char *value = NULL;
    struct error error;
    char reference[160];

    (void)state;
    write_file("secret", "a b\r\n", 0400);
    snprintf(reference, sizeof reference, "file:%s", path_of("secret"));
    assert_int_equal(secret_read(arena, reference, NULL, &value, &error), 0);
    assert_string_equal(value, "a b");
    assert_int_equal(chmod(path_of("secret"), 0640), 0);
    assert_int_equal(secret_read(arena, reference, NULL, &value, &error), geteuid() == 0 ? 0 : ERROR_CONFIG);
    assert_int_equal(secret_read(arena, "hunter2", NULL, &value, &error), ERROR_CONFIG);
    assert_null(strstr(error.text, "hunter"));
    if (geteuid() == 0) { /* only root can give a file away */
        assert_int_equal(chmod(path_of("secret"), 0600), 0);
        assert_int_equal(chown(path_of("secret"), 12345, 12345), 0);
        assert_int_equal(secret_read(arena, reference, NULL, &value, &error), ERROR_CONFIG);
        assert_non_null(strstr(error.text, "belongs to user 12345"));
    }
    arena_free(arena);
}

static void test_all_problems_at_once_in_order(void **state)
{
    struct buffer problems =
        problems_of("worker = { name = \"a b\";\n log_level = \"x\"; };\nkafka = { bootstrap_servers = \"::\"; };\n" STORE
                    "pipelines = { a = { topics = \"a b\";\n plugin = 5;\n store = \"x\"; }; };\n");
    size_t n = 0;
    unsigned last = 0;

    (void)state;
    for (char *at = problems.data; *at != '\0'; at = strchr(at, '\n') + 1) {
        unsigned line;

        assert_int_equal(sscanf(at, "test.conf:%u:", &line), 1);
        assert_true(line >= last);
        last = line;
        n++;
    }
    assert_int_equal(n, 6);
    buffer_free(&problems);
}

static void test_summary_without_a_list(void **state)
{
    struct config *config = NULL;
    struct error error;

    (void)state;
    write_file("test.conf", "a = 1;\nb = 2;\n" KAFKA STORE PIPELINE(""), 0600);
    assert_int_equal(config_load(path_of("test.conf"), &config, NULL, &error), ERROR_CONFIG);
    assert_non_null(strstr(error.text, "test.conf has 2 problems; the first: "));
    assert_non_null(strstr(error.text, "test.conf:1: unknown group `a'"));
}

/* ---- Fingerprints ---- */

static uint64_t fingerprint(const char *text)
{
    struct config *config = load(text);
    uint64_t value = config_pipeline_fingerprint(config, &config->pipelines[0]);

    config_free(config);
    assert_true(value != 0);
    return value;
}

static void test_fingerprints_follow_the_meaning(void **state)
{
    uint64_t plain;

    (void)state;
    plain = fingerprint(WORKER_WITH("name = \"w\";"));
    assert_true(fingerprint("\n\n# moved\n" WORKER_WITH("name = \"w\"; log_level = \"debug\"; stall_timeout = \"5s\";")) ==
                plain);
    assert_true(fingerprint("worker = { name = \"w\"; };\n" PIPELINE_WITH("batch_time = \"5000ms\"; tasks = 1;")) == plain);
    assert_true(fingerprint("worker = { name = \"w\"; };\n" PIPELINE_WITH("batch_time = \"4s\";")) != plain);
    assert_true(fingerprint("worker = { name = \"w\"; };\n" PIPELINE_WITH("options = { a = 1; };")) != plain);
    assert_true(fingerprint("worker = { name = \"w\"; };\n" KAFKA_WITH("session_timeout = \"11s\";")) != plain);
    assert_true(fingerprint("worker = { name = \"w2\"; };\n" PIPELINE_WITH("")) != plain);
}

static void test_fingerprints_follow_secrets(void **state)
{
    uint64_t first;

    (void)state;
    setenv("READSIDE_TEST_SECRET", "one", 1);
    first = fingerprint(STORE_WITH("uri = \"x\"; password = \"env:READSIDE_TEST_SECRET\";"));
    setenv("READSIDE_TEST_SECRET", "two", 1);
    assert_true(fingerprint(STORE_WITH("uri = \"x\"; password = \"env:READSIDE_TEST_SECRET\";")) != first);
}

/* ---- The table ---- */

static void test_units_print_what_they_read(void **state)
{
    char text[UNITS_TEXT_SIZE];

    (void)state;
    assert_string_equal(units_print_duration(0, text), "0");
    assert_string_equal(units_print_duration(1, text), "1us");
    assert_string_equal(units_print_duration(90000000, text), "90s");
    assert_string_equal(units_print_duration(INT64_C(86400000000), text), "1d");
    assert_string_equal(units_print_size(0, text), "0");
    assert_string_equal(units_print_size(1000, text), "1000");
    assert_string_equal(units_print_size(INT64_C(3) << 40, text), "3072GiB");
}

static void test_nearest_name(void **state)
{
    static const char *const names[] = {"topics", "tasks", "uri"};

    (void)state;
    assert_string_equal(key_nearest("tpoics", names, 3, sizeof names[0]), "topics");
    assert_string_equal(key_nearest("task", names, 3, sizeof names[0]), "tasks");
    assert_string_equal(key_nearest("url", names, 3, sizeof names[0]), "uri");
    assert_null(key_nearest("elephant", names, 3, sizeof names[0]));
    assert_null(key_nearest("xyz", names, 0, sizeof names[0]));
}

static void test_the_table_is_whole(void **state)
{
    (void)state;
    for (size_t g = 0; g < N_GROUPS; g++) {
        const struct key_group *group = &key_groups[g];

        for (size_t i = 0; i < group->n_keys; i++) {
            const struct key *key = &group->keys[i];
            bool is_required = (key->flags & KEY_REQUIRED) != 0;
            bool is_number = key->type == KEY_INT || key->type == KEY_DURATION || key->type == KEY_SIZE;

            assert_ptr_equal(key_find(group, key->name), key);
            assert_non_null(key->summary);
            assert_int_equal(key->summary[strlen(key->summary) - 1], '.');
            assert_int_equal((key->fallback != NULL) + (key->default_note != NULL) + is_required, 1);
            assert_true(key->fallback != NULL || key->example != NULL);
            assert_true(!is_number || key->max > key->min);
            assert_true((key->type == KEY_CHOICE) == (key->choices != NULL));
        }
    }
}

static void compare_or_update(const char *name, const char *begin, const char *end, const char *generated)
{
    const char *source = getenv("READSIDE_SOURCE");
    char path[512];
    struct buffer text = BUFFER_INIT;
    char *from;
    char *to;
    FILE *file;
    int c;

    snprintf(path, sizeof path, "%s/%s", source == NULL ? "." : source, name);
    file = fopen(path, "r");
    if (file == NULL) {
        fail_msg("cannot open %s (set READSIDE_SOURCE to the source directory)", path);
    }
    buffer_puts(&text, "");
    while ((c = getc(file)) != EOF) {
        buffer_putc(&text, (char)c);
    }
    fclose(file);
    from = begin == NULL ? text.data : strstr(text.data, begin);
    assert_non_null(from);
    from += begin == NULL ? 0 : strlen(begin);
    to = end == NULL ? text.data + text.size : strstr(from, end);
    assert_non_null(to);
    if (getenv("READSIDE_UPDATE") != NULL) {
        file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fprintf(file, "%.*s%s%s", (int)(from - text.data), text.data, generated, to) > 0);
        assert_int_equal(fclose(file), 0);
    } else if ((size_t)(to - from) != strlen(generated) || memcmp(from, generated, strlen(generated)) != 0) {
        fail_msg("%s differs from the key table; run this test with READSIDE_UPDATE=1", path);
    }
    buffer_free(&text);
}

static void test_sample_follows_the_table_and_loads(void **state)
{
    struct buffer sample = BUFFER_INIT;

    (void)state;
    config_print_sample(&sample);
    assert_false(buffer_failed(&sample));
    config_free(load(sample.data));
    compare_or_update("conf/readside.conf.sample", NULL, NULL, sample.data);
    buffer_free(&sample);
}

static void test_manual_follows_the_table(void **state)
{
    struct buffer manual = BUFFER_INIT;

    (void)state;
    config_print_manual(&manual);
    assert_false(buffer_failed(&manual));
    compare_or_update("docs/readside.conf.5", ".\\\" BEGIN generated\n", ".\\\" END generated\n", manual.data);
    buffer_free(&manual);
}

/* ---- Memory ---- */

static void fail_every_allocation(const char *path, int expected)
{
    for (long nth = 0;; nth++) {
        struct buffer problems = BUFFER_INIT;
        struct config *config = NULL;
        struct error error;
        int result;

        assert_true(nth < 10000);
        allocations_left = nth;
        result = config_load(path, &config, &problems, &error);
        if (result == 0) {
            struct buffer dump = BUFFER_INIT;

            config_dump(config, NULL, NULL, &dump);
            buffer_free(&dump);
        }
        if (allocations_left > 0) { /* it did with fewer than allowed: none failed */
            allocations_left = -1;
            if (result != expected) {
                fail_msg("%s", error.text);
            }
            config_free(config);
            buffer_free(&problems);
            return;
        }
        allocations_left = -1;
        assert_true(result == 0 || result == ERROR_CONFIG);
        assert_true((result == 0) == (config != NULL));
        config_free(config);
        buffer_free(&problems);
    }
}

static void test_every_allocation_may_fail(void **state)
{
    char text[4096];

    (void)state;
    setenv("READSIDE_TEST_SECRET", "hunter2", 1);
    write_file("secret", "hunter3\n", 0600);
    write_file("inc.conf", full, 0600);
    fail_every_allocation(write_file("good.conf", "@include \"inc.conf\"\n", 0600), 0);
    snprintf(text, sizeof text, "%s%s", full, "a = 1; b = 2; c = 3;");
    fail_every_allocation(write_file("bad.conf", text, 0600), ERROR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_kind_of_value),
        cmocka_unit_test(test_dump_can_be_loaded_and_hides_secrets),
        cmocka_unit_test(test_dump_masks_passwords_in_uris),
        cmocka_unit_test(test_passwords_in_uris_are_hidden),
        cmocka_unit_test(test_no_part_of_a_password_is_seen),
        cmocka_unit_test(test_passwords_in_uris_are_seen),
        cmocka_unit_test(test_includes_keep_their_lines),
        cmocka_unit_test(test_includes_that_fail),
        cmocka_unit_test(test_files_that_cannot_be_read),
        cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_unknown_names),
        cmocka_unit_test(test_missing_things),
        cmocka_unit_test(test_wrong_shapes),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_origins_and_start),
        cmocka_unit_test(test_two_of_a_kind),
        cmocka_unit_test(test_servers),
        cmocka_unit_test(test_embedded_broker),
        cmocka_unit_test(test_a_path_may_hold_a_colon),
        cmocka_unit_test(test_kafka_security),
        cmocka_unit_test(test_passwords_go_to_this_machine_only),
        cmocka_unit_test(test_client_properties),
        cmocka_unit_test(test_literal_secrets),
        cmocka_unit_test(test_secrets_that_cannot_be_had),
        cmocka_unit_test(test_secret_files),
        cmocka_unit_test(test_all_problems_at_once_in_order),
        cmocka_unit_test(test_summary_without_a_list),
        cmocka_unit_test(test_fingerprints_follow_the_meaning),
        cmocka_unit_test(test_fingerprints_follow_secrets),
        cmocka_unit_test(test_units_print_what_they_read),
        cmocka_unit_test(test_nearest_name),
        cmocka_unit_test(test_the_table_is_whole),
        cmocka_unit_test(test_sample_follows_the_table_and_loads),
        cmocka_unit_test(test_manual_follows_the_table),
        cmocka_unit_test(test_every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, enter_directory, remove_directory);
}
