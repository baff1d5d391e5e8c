/*
 * findings - see findings.h. Used by the checks of the drivers; pure.
 */
#include "store/findings.h"

#include "store/store.h"

#include <string.h>

void findings_note_missing(struct findings *findings, const char *table)
{
    buffer_printf(&findings->missing, "%s%s", findings->n_missing++ > 0 ? ", " : "", table);
}

void findings_note_wrong(struct findings *findings, const char *sentence)
{
    buffer_printf(&findings->wrong, "%s%s", findings->wrong.size > 0 ? ". Also: " : "", sentence);
}

void findings_note_drift(struct findings *findings, const char *table, const char *differences)
{
    findings->has_drift = true;
    buffer_printf(&findings->wrong, "%stable %s differs from what the plugin declares%s",
                  findings->wrong.size > 0 ? ". Also: " : "", table, differences);
}

void findings_note_host_drift(struct findings *findings, const char *table, const char *differences)
{
    findings->has_host_drift = true;
    buffer_printf(&findings->wrong, "%stable %s is not as `readside schema' prints it%s", findings->wrong.size > 0 ? ". Also: " : "",
                  table, differences);
}

int findings_take(struct findings *findings, int class, const struct error *failure, bool is_connected, struct error *ret_error)
{
    if (class == ERROR_CONFIG && is_connected) {
        findings_note_wrong(findings, failure->text);
        return 0;
    }
    if (class != 0 && ret_error != NULL)
        *ret_error = *failure;
    return class;
}

static void put_missing(struct buffer *text, const struct findings *findings)
{
    bool is_one = findings->n_missing == 1;

    buffer_printf(text, "%stable%s %s do%s not exist; set schema = \"create\", or run what `readside schema' prints",
                  findings->wrong.size > 0 ? ". Also: " : "", is_one ? "" : "s", findings->missing.data, is_one ? "es" : "");
}

int findings_judge(struct findings *findings, const char *place, struct error *ret_error)
{
    struct buffer text = BUFFER_INIT;
    int result = 0;

    if (place != NULL)
        buffer_printf(&text, "%s: ", place);
    if (findings->wrong.size > 0)
        buffer_puts(&text, findings->wrong.data);
    if (findings->has_drift)
        buffer_puts(&text, ". Raise the pipeline's `version' to have new tables beside the old");
    if (findings->n_missing > 0)
        put_missing(&text, findings);
    if (buffer_failed(&text) || buffer_failed(&findings->wrong) || buffer_failed(&findings->missing))
        result = error_set(ret_error, ERROR_BUG, "out of memory");
    else if (findings->wrong.size > 0 || findings->n_missing > 0)
        result = error_set(ret_error, ERROR_CONFIG, "%s", text.data);
    if (result == ERROR_CONFIG && findings->wrong.size == 0 && ret_error != NULL)
        memcpy(ret_error->code, STORE_MISSING, sizeof STORE_MISSING);
    buffer_free(&text);
    findings_free(findings);
    return result;
}

void findings_free(struct findings *findings)
{
    buffer_free(&findings->missing);
    buffer_free(&findings->wrong);
    *findings = (struct findings){0};
}
