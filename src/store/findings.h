/*
 * findings - what a check of the schema has found so far, table by table, so that one look tells everything.
 */
#ifndef STORE_FINDINGS_H
#define STORE_FINDINGS_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct findings {
    struct buffer missing; /* the names of the tables that are not there */
    size_t n_missing;
    struct buffer wrong; /* sentences */
    bool has_drift, has_host_drift;
};

void findings_note_missing(struct findings *findings, const char *table);
/* differences: each begins with "; ". */
void findings_note_drift(struct findings *findings, const char *table, const char *differences);
void findings_note_host_drift(struct findings *findings, const char *table, const char *differences);
void findings_note_wrong(struct findings *findings, const char *sentence);
/*
 * What one step of a check has ended with: notes CONFIG as wrong and returns 0, so that the check goes on; returns anything else,
 * with the failure in ret_error. CONFIG of a connection that is gone is no finding either.
 */
int findings_take(struct findings *findings, int class, const struct error *failure, bool is_connected,
                  struct error *ret_error) MUST_CHECK;
/*
 * 0: nothing was found. CONFIG with all of it; its code is STORE_MISSING when tables are missing and nothing is wrong with the
 * others. place: what the text begins with; NULL: nothing. Frees the findings.
 */
int findings_judge(struct findings *findings, const char *place, struct error *ret_error) MUST_CHECK;
void findings_free(struct findings *findings);

#endif
