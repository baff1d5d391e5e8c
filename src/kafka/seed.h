/*
 * seed - one line of a JSON-lines file as a Kafka record: its key and its value.
 *
 *     {"type":"Deposited","account":"alice","amount":"100.00"}          the key is the value of a field, the value the line
 *     {"$key":"alice","$value":{"type":"Deposited","amount":"1.00"}}    both stated; a text is taken as it reads, null is null
 *
 * Lenient: a line that is no JSON object is a value without key, so that bad events can be seeded too. Pure.
 */
#ifndef KAFKA_SEED_H
#define KAFKA_SEED_H

#include <stdbool.h>
#include <stddef.h>

struct seed_record {
    const char *key; /* NULL: none */
    size_t key_size;
    const char *value; /* NULL: tombstone */
    size_t value_size;
};

/*
 * Blanks at both ends are cut. scratch holds size bytes and lives as long as the record: decoded texts are put there. False: the
 * line is empty.
 */
bool seed_read_line(const char *line, size_t size, const char *key_field, char *scratch, struct seed_record *ret_record);

#endif
