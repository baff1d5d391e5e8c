/*
 * exit - the exit codes of every command and of the task processes, after sysexits(3). Documented in readside(1).
 */
#ifndef WORKER_EXIT_H
#define WORKER_EXIT_H

enum exit_code {
    EXIT_CODE_OK = 0,
    EXIT_CODE_USAGE = 64,     /* wrong arguments */
    EXIT_CODE_DATA = 65,      /* an event that cannot be applied: poison, a halted partition */
    EXIT_CODE_BUG = 70,       /* an invariant failed, in Readside or a plugin */
    EXIT_CODE_TRANSIENT = 75, /* store or broker not reachable: try again later */
    EXIT_CODE_FENCED = 77,    /* somebody else owns the positions */
    EXIT_CODE_CONFIG = 78,    /* a person must change something first */
};

/* The code for an error class; 0 for 0. */
int exit_code_of(int class);
/* What a code says, for logs: "configuration", "transient". */
const char *exit_code_name(int code);

#endif
