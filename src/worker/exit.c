/*
 * exit - see exit.h. Pure.
 */
#include "worker/exit.h"

#include "base/error.h"

int exit_code_of(int class)
{
    switch (class) {
    case 0:
        return EXIT_CODE_OK;
    case ERROR_TRANSIENT:
    case ERROR_UNKNOWN:
        return EXIT_CODE_TRANSIENT;
    case ERROR_POISON:
    case ERROR_HALT:
        return EXIT_CODE_DATA;
    case ERROR_FENCED:
        return EXIT_CODE_FENCED;
    case ERROR_CONFIG:
        return EXIT_CODE_CONFIG;
    default:
        return EXIT_CODE_BUG;
    }
}

const char *exit_code_name(int code)
{
    switch (code) {
    case EXIT_CODE_OK:
        return "clean";
    case EXIT_CODE_USAGE:
        return "usage";
    case EXIT_CODE_DATA:
        return "data";
    case EXIT_CODE_BUG:
        return "bug";
    case EXIT_CODE_TRANSIENT:
        return "transient";
    case EXIT_CODE_FENCED:
        return "fenced";
    case EXIT_CODE_CONFIG:
        return "configuration";
    default:
        return "unknown";
    }
}
