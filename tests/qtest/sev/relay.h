/*
 * A relay between the two ends of a migration that damages what passes.
 *
 * It knows no more of the stream than anybody can who sits on the line: the
 * magic of a record and the type of PAGES (docs/interop/sev-record.rst).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_QTEST_SEV_RELAY_H
#define TESTS_QTEST_SEV_RELAY_H

typedef enum SevRelayDamage {
    SEV_RELAY_FLIP,             /* a bit of the first packet */
    SEV_RELAY_CUT,              /* the line, inside the first packet */
} SevRelayDamage;

typedef struct SevRelay SevRelay;

/*
 * A relay to the socket of @uri ("unix:PATH") with a thread of its own, for one
 * connection.  @here is its own URI: free it.
 */
SevRelay *sev_relay_start(const char *uri, SevRelayDamage damage, char **here);

/* After both ends have hung up.  The relay must have done its damage. */
void sev_relay_finish(SevRelay *relay);

/* The same with a file: a bit of its first packet is flipped. */
void sev_flip_in_file(const char *path);

#endif /* TESTS_QTEST_SEV_RELAY_H */
