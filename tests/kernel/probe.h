/* The program that kernel tests run in sandboxes: it states facts, tries what must fail, and says
 * what happened. Static, so that an image needs nothing but this file. One command a run:
 * `probe COMMAND ARGUMENT...`; output is "key=value" lines; errors are named (EPERM), success is
 * OK. */
#pragma once

/* "OK" for 0 and positive values, else the name of errno. */
const char* Verdict(long result);

/* Each returns the exit code. `arguments` ends with NULL. */
int Facts(char** arguments);

int Read(char** arguments);     /* PATH...: contents to standard output */
int List(char** arguments);     /* DIR: names */
int Stat(char** arguments);     /* PATH...: kind, mode, owner, device, file system */
int Write(char** arguments);    /* PATH TEXT */
int Fill(char** arguments);     /* PATH...: writes until it cannot */
int ReadOnly(char** arguments); /* FILE DIRECTORY: every operation that would change them */
int Writable(char** arguments); /* DIRECTORY: the same operations, on files of its own */
int Open(char** arguments);     /* PATH...: for writing */

int Calls(char** arguments);      /* COUNT: the filter's verdict on each system call number */
int CloneFlags(char** arguments); /* its verdict on clone, clone3 and unshare for each flag */
int Sockets(char** arguments);    /* socket and socketpair for each family and type */
int Terminal(char** arguments);   /* ioctls on a terminal of its own */
int ForeignX32(char** arguments);
int ForeignI386(char** arguments);

int Network(char** arguments);  /* interfaces, and connecting to various addresses */
int Abstract(char** arguments); /* NAME: connects to an abstract socket */
int Ask(char** arguments);      /* PORT TEXT: of its loopback, and prints what it is answered */
int Scatter(char** arguments);  /* COUNT: leaves that many daemons behind and exits */
int Obedient(char** arguments); /* exits with 42 at TERM */
int Stubborn(char** arguments); /* ignores what can be ignored */
int Stopped(char** arguments);  /* stops itself */
int Raise(char** arguments);    /* SIGNAL */
int KillAll(char** arguments);  /* kills every process it may */

int Eat(char** arguments);         /* BYTES: of memory */
int EatTogether(char** arguments); /* COUNT BYTES: each of so many children at once */
int EatAside(char** arguments);    /* BYTES: in a child, and does not notice what becomes of it */
int Multiply(char** arguments);    /* COUNT: forks until it cannot, or that often */
int Burn(char** arguments);        /* SECONDS: of processor time */
int OpenMany(char** arguments);    /* opens until it cannot */
int Inodes(char** arguments);      /* DIRECTORY: empty files until it cannot */
