/*
 * halt - what a person can do about a halted partition, as the command lines that do it.
 */
#ifndef CLI_HALT_H
#define CLI_HALT_H

#include "cli/view.h"

/* Prints the ways out for the row's kind of halt, one a line; with the offset and the words to accept, where the broker was asked. */
void halt_print_ways(const struct context *context, const struct view *view, const struct view_row *row);

#endif
