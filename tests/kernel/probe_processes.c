/* Processes that do not want to die, and the network. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"

static void Say(const char* text) {
  if (write(1, text, strlen(text)) < 0) _exit(98);
}

static void IgnoreAll(void) {
  for (int number = 1; number < 65; ++number) signal(number, SIG_IGN);
  signal(SIGCHLD, SIG_DFL);
}

/* A daemon in its own session, that has told `ready` that it lives. */
static void Daemon(int ready) {
  if (fork() != 0) return;
  setsid();
  if (fork() != 0) _exit(0);
  IgnoreAll();
  if (write(ready, "x", 1) != 1) _exit(1);
  while (1) pause();
}

int Scatter(char** arguments) {
  const int count = atoi(arguments[0]);
  int ready[2];
  if (pipe(ready) < 0) return 1;
  for (int i = 0; i < count; ++i) Daemon(ready[1]);
  for (int i = 0; i < count; ++i) {
    char byte;
    if (read(ready[0], &byte, 1) != 1) return 1;
  }
  Say("scattered\n");
  return 7;
}

static void Leave(int number) {
  (void)number;
  _exit(42);
}

int Obedient(char** arguments) {
  (void)arguments;
  signal(SIGTERM, Leave);
  Say("ready\n");
  while (1) pause();
}

int Stubborn(char** arguments) {
  (void)arguments;
  IgnoreAll();
  Say("ready\n");
  while (1) pause();
}

int Stopped(char** arguments) {
  (void)arguments;
  Say("ready\n");
  while (1) raise(SIGSTOP);
}

int Raise(char** arguments) {
  raise(atoi(arguments[0]));
  return 0;
}

int KillAll(char** arguments) {
  (void)arguments;
  printf("%s\n", Verdict(kill(-1, SIGKILL)));
  return 0;
}

static void TryConnect(const char* address) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(443)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(443)};
  int result = -1;
  if (inet_pton(AF_INET, address, &v4.sin_addr) == 1) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    result = connect(fd, (const struct sockaddr*)&v4, sizeof v4);
  } else if (inet_pton(AF_INET6, address, &v6.sin6_addr) == 1) {
    const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    result = connect(fd, (const struct sockaddr*)&v6, sizeof v6);
  }
  printf("connect.%s=%s\n", address, Verdict(result));
}

int Network(char** arguments) {
  struct if_nameindex* names = if_nameindex();
  printf("interfaces=");
  for (struct if_nameindex* name = names; name != NULL && name->if_index != 0; ++name) {
    printf("%s ", name->if_name);
  }
  printf("\n");
  for (; *arguments != NULL; ++arguments) TryConnect(*arguments);
  return 0;
}

int Abstract(char** arguments) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const size_t length = strlen(arguments[0]);
  memcpy(address.sun_path + 1, arguments[0], length);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int result = connect(fd, (const struct sockaddr*)&address,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length));
  printf("%s\n", Verdict(result));
  return 0;
}

int Ask(char** arguments) {
  const struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)atoi(arguments[0])),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  char answer[256];
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (const struct sockaddr*)&address, sizeof address) < 0 ||
      write(fd, arguments[1], strlen(arguments[1])) < 0) {
    printf("%s\n", Verdict(-1));
    return 1;
  }
  const ssize_t count = read(fd, answer, sizeof answer);
  printf("%.*s\n", (int)(count > 0 ? count : 0), answer);
  return 0;
}
