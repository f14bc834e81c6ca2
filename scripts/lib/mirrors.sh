# shellcheck shell=bash
# Where Debian's packages come from. Source this file; it has no effect by itself.

# debian_sources SUITE: prints apt source lines for this host's own mirrors, if they are Debian's: an archive with this
# host's suite has the other suites too. Without such a mirror it prints no line, and mmdebstrap uses its default.
debian_sources() {
  local mirror security
  command -v apt-get >/dev/null || return 0
  mirror=$(_debian_mirror Debian)
  security=$(_debian_mirror Debian-Security)
  [ -n "$mirror" ] || return 0
  printf 'deb %s %s main\n' "$mirror" "$1" "$mirror" "$1-updates"
  [ -z "$security" ] || printf 'deb %s %s main\n' "$security" "$1-security"
}

_debian_mirror() {
  # shellcheck disable=SC2016  # apt's own format
  apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(CREATED_BY) $(LABEL)' 2>/dev/null |
    awk -v rest="Debian Packages $1" '{ uri = $1; sub(/^[^ ]+ /, "") } $0 == rest && !found { print uri; found = 1 }'
}
