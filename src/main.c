/*
 * main - argv to command. Everything else is in cli/.
 */
#include "cli/cli.h"

#include <locale.h>

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* file names and terminals; numbers stay as they are everywhere */
    return cli_main(argc, argv);
}
