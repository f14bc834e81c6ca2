/* A program of an attacker, run as a step: it tries what a step must not be able to do, and prints
 * what came of each try in the Test Anything Protocol. Static, so that every image can hold it.
 *
 *   attacker [NAME...]        the attacks whose names begin with one of these; without, all
 *   attacker facts PATH...    no attack: what is to be seen there, as "path=content" lines
 *
 * An attack runs in a process of its own and ends with one word: DONE, the name of an errno, or of
 * the signal that killed it. It is held when that word is among those that were expected. */
#pragma once

#include <stdbool.h>

/* "DONE" for 0 and positive values, else the name of errno. */
const char* Verdict(long result);

/* `held`: the expected words, separated by "|". The name is GROUP/WHAT. */
typedef const char* Attack(long first, long second);
void Try(const char* held, Attack* attack, long first, long second, const char* name, ...)
    __attribute__((format(printf, 5, 6)));
/* Whether any attack of this group ("group/") may have been asked for. */
bool Wanted(const char* group);
/* As Try, for what was found out before. */
void Report(const char* held, const char* word, const char* name, ...)
    __attribute__((format(printf, 3, 4)));

/* Each tries all of its group. */
void Calls(void);       /* every number of every table of system calls */
void Namespaces(void);  /* making and entering them, by every route */
void Sockets(void);     /* every family and type */
void Terminals(void);   /* pushing input into one */
void Processes(void);   /* looking into others, and signalling them */
void Privileges(void);  /* getting some back */
void Descriptors(void); /* what was left open, and where it leads */
void Root(void);        /* leading out of it */
void ReadOnly(void);    /* changing what is shared, by every operation, on every read-only mount */
void Proc(void);        /* of the host, to be read and written */
void Shared(void);      /* the file that RUNDLET_SHARED names, to be read and written */

int Facts(char** paths);
