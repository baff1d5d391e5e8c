/*
 * config_fuzz - a config file of arbitrary bytes: read, dumped, and the dump read again to the same dump.
 *
 * libFuzzer: clang -fsanitize=fuzzer,address,undefined with src/config and src/base. Seeds: conf/, tests/fuzz/config.dict.
 */
#include "config/config.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 loses its scratch text at a syntax error; a process that meets one ends. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so\n";
}

static int load(const void *data, size_t size, struct config **ret_config, struct buffer *ret_problems)
{
    int fd = memfd_create("config", MFD_CLOEXEC);
    char path[64];
    struct error error = {0};
    int result;

    if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
        abort();
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    result = config_load(path, ret_config, ret_problems, &error);
    close(fd);
    if ((result != 0 && (result != ERROR_CONFIG || ret_problems->size == 0 || error.text[0] == '\0'))) {
        abort();
    }
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config = NULL;
    struct config *again = NULL;
    struct buffer problems = BUFFER_INIT;
    struct buffer first = BUFFER_INIT;
    struct buffer second = BUFFER_INIT;

    if (load(data, size, &config, &problems) == 0) {
        config_dump(config, NULL, NULL, &first);
        /* A hidden literal is "(hidden)" in the dump, which is a literal that the same switch allows. */
        if (load(first.data, first.size, &again, &problems) != 0) {
            fprintf(stderr, "%s\n%s\n", problems.data, first.data);
            abort();
        }
        config_dump(again, NULL, NULL, &second);
        if (strcmp(first.data, second.data) != 0) {
            fprintf(stderr, "%s\n---\n%s\n", first.data, second.data);
            abort();
        }
    }
    config_free(config);
    config_free(again);
    buffer_free(&problems);
    buffer_free(&first);
    buffer_free(&second);
    return 0;
}
