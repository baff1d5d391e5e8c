/*
 * text_time - timestamps and dates, text to number and back (RFC 3339, proleptic Gregorian calendar, UTC).
 *
 * Called per field on the hot path, in any thread. Pure: no time zone, no locale, no allocation.
 */
#include "base/text.h"

#include <string.h>

enum {
    UNIX_EPOCH_DAYS = 719162, /* 0001-01-01 to 1970-01-01 */
    MIN_DAYS = -719162,       /* 0001-01-01 */
    MAX_DAYS = 2932896,       /* 9999-12-31 */
    DATE_TEXT = TEXT_DATE_SIZE - 1,
};

static const int64_t second_us = 1000000;
static const int64_t day_seconds = 86400;

/* Days of the year before a month, 1 = January; [13] is the year's length. */
static const int16_t days_before[14] = {0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Two digits; *bad collects what is none. */
static inline int two_digits(const char *at, unsigned *bad)
{
    unsigned tens = (unsigned char)(at[0] - '0');
    unsigned ones = (unsigned char)(at[1] - '0');

    *bad |= (unsigned)(tens > 9) | (unsigned)(ones > 9);
    return (int)(tens * 10 + ones);
}

/* Ten bytes YYYY-MM-DD. */
static bool read_days(const char *at, int32_t *ret_days)
{
    unsigned bad = (unsigned)(at[4] != '-') | (unsigned)(at[7] != '-');
    int year = two_digits(at, &bad) * 100 + two_digits(at + 2, &bad);
    int month = two_digits(at + 5, &bad);
    int day = two_digits(at + 8, &bad);
    int before;
    int length;

    if (bad != 0 || year < 1 || month < 1 || month > 12 || day < 1) {
        return false;
    }
    length = days_before[month + 1] - days_before[month] + (month == 2 && is_leap(year));
    if (day > length) {
        return false;
    }
    before = days_before[month] + (month > 2 && is_leap(year));
    year--;
    *ret_days = year * 365 + year / 4 - year / 100 + year / 400 + before + day - 1 - UNIX_EPOCH_DAYS;
    return true;
}

/* ".ffffff" at *at, if there is one. Digits behind the sixth must be zero. */
static bool read_fraction(const char **at, const char *end, int64_t *ret_us)
{
    static const int32_t weights[7] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    const char *digit = *at;
    int64_t value = 0;
    int n_digits = 0;

    *ret_us = 0;
    if (digit == end || *digit != '.') {
        return true;
    }
    for (digit++; digit < end && (unsigned char)(*digit - '0') <= 9; digit++) {
        if (n_digits == 6) {
            if (*digit != '0') {
                return false;
            }
            continue;
        }
        value = value * 10 + (*digit - '0');
        n_digits++;
    }
    *at = digit;
    *ret_us = value * weights[n_digits];
    return n_digits > 0;
}

/* "Z" or "+hh:mm" up to the end, as seconds east of UTC. */
static bool read_zone(const char *at, const char *end, int64_t *ret_seconds)
{
    unsigned bad = 0;
    int hours;
    int minutes;

    if (end - at == 1 && (*at == 'Z' || *at == 'z')) {
        *ret_seconds = 0;
        return true;
    }
    if (end - at != 6 || (*at != '+' && *at != '-') || at[3] != ':') {
        return false;
    }
    hours = two_digits(at + 1, &bad);
    minutes = two_digits(at + 4, &bad);
    if (bad != 0 || hours > 23 || minutes > 59) {
        return false;
    }
    *ret_seconds = (hours * 60 + minutes) * 60 * (*at == '-' ? -1 : 1);
    return true;
}

bool text_read_timestamp(const char *data, size_t size, int64_t *ret_microseconds)
{
    const char *at = data + 19;
    const char *end = data + size;
    unsigned bad = 0;
    int32_t days;
    int64_t seconds;
    int64_t fraction;
    int64_t zone;
    int hour;
    int minute;
    int second;

    if (size < 20 || (data[10] != 'T' && data[10] != 't' && data[10] != ' ') || data[13] != ':' || data[16] != ':' ||
        !read_days(data, &days)) {
        return false;
    }
    hour = two_digits(data + 11, &bad);
    minute = two_digits(data + 14, &bad);
    second = two_digits(data + 17, &bad);
    if (bad != 0 || hour > 23 || minute > 59 || second > 60 || !read_fraction(&at, end, &fraction) ||
        !read_zone(at, end, &zone)) {
        return false;
    }
    seconds = days * day_seconds + (hour * 60 + minute) * 60 + second - zone;
    /* A leap second is the last of a UTC day; POSIX time counts it as the first of the next. */
    if ((second == 60 && seconds % day_seconds != 0) || seconds < MIN_DAYS * day_seconds ||
        seconds >= (MAX_DAYS + 1) * day_seconds) {
        return false;
    }
    *ret_microseconds = seconds * second_us + fraction;
    return true;
}

bool text_read_date(const char *data, size_t size, int32_t *ret_days)
{
    return size == DATE_TEXT && read_days(data, ret_days);
}

static void put_digits(char *at, int n_digits, int number)
{
    while (n_digits-- > 0) {
        at[n_digits] = (char)('0' + number % 10);
        number /= 10;
    }
}

void text_print_date(int32_t days, char ret_text[TEXT_DATE_SIZE])
{
    int32_t clamped = days < MIN_DAYS ? MIN_DAYS : days > MAX_DAYS ? MAX_DAYS : days;
    int32_t rest = clamped + UNIX_EPOCH_DAYS; /* since 0001-01-01 */
    int year = 1;
    int month = 1;
    int cycles;

    year += rest / 146097 * 400; /* whole cycles of 400, 100, 4 and 1 years; the last of a cycle is a leap day longer */
    rest %= 146097;
    cycles = rest / 36524;
    cycles = cycles == 4 ? 3 : cycles;
    year += cycles * 100;
    rest -= cycles * 36524;
    year += rest / 1461 * 4;
    rest %= 1461;
    cycles = rest / 365;
    cycles = cycles == 4 ? 3 : cycles;
    year += cycles;
    rest -= cycles * 365;
    while (month < 12 && rest >= days_before[month + 1] + (month >= 2 && is_leap(year))) {
        month++;
    }
    rest -= days_before[month] + (month > 2 && is_leap(year));
    memcpy(ret_text, "0000-00-00", TEXT_DATE_SIZE);
    put_digits(ret_text, 4, year);
    put_digits(ret_text + 5, 2, month);
    put_digits(ret_text + 8, 2, rest + 1);
}

void text_print_timestamp(int64_t microseconds, char ret_text[TEXT_TIMESTAMP_SIZE])
{
    const int64_t day_us = day_seconds * second_us;
    const int64_t least = MIN_DAYS * day_us;
    const int64_t most = (MAX_DAYS + 1) * day_us - 1;
    int64_t clamped = microseconds < least ? least : microseconds > most ? most : microseconds;
    int64_t days = clamped / day_us - (clamped % day_us < 0);
    int64_t in_day = clamped - days * day_us;
    int seconds = (int)(in_day / second_us);

    text_print_date((int32_t)days, ret_text);
    memcpy(ret_text + DATE_TEXT, "T00:00:00.000000Z", sizeof "T00:00:00.000000Z");
    put_digits(ret_text + 11, 2, seconds / 3600);
    put_digits(ret_text + 14, 2, seconds / 60 % 60);
    put_digits(ret_text + 17, 2, seconds % 60);
    put_digits(ret_text + 20, 6, (int)(in_day % second_us));
}
