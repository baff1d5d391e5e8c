/*
 * main - argv to command. Everything else is in cli/.
 */
#include "cli/cli.h"

#include <fcntl.h>
#include <locale.h>
#include <unistd.h>

/* Who starts us may have closed them. The next socket would become standard output or error then, and what is printed go into it. */
static void fill_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO && fcntl(fd, F_SETFD, 0) == 0);
    if (fd > STDERR_FILENO)
        close(fd);
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    setlocale(LC_CTYPE, ""); /* file names and terminals; numbers stay as they are everywhere */
    return cli_main(argc, argv);
}
