# shellcheck shell=bash
# Python images for rundlet: pulled from a registry that answers, else made here. Source this file. The variable
# `rundlet` names the program, and `say` is a function that prints a line.

# ensure_python_image VERSION SUITE LAYOUT: provides an image `python-VERSION`. If no registry has it, it is made from
# the packages of Debian's SUITE, as a layout in the directory LAYOUT.
ensure_python_image() {
  local name=python-$1 reference=python:$1-slim
  # shellcheck disable=SC2154  # the caller's
  if "$rundlet" image ls -o json | grep -q "\"name\": \"$name\""; then return 0; fi
  if _registry_answers; then
    say "image $name: pulling $reference"
    if "$rundlet" image pull "$reference" && "$rundlet" image tag "$reference" "$name"; then return 0; fi
    say "it cannot be pulled"
  fi
  say "image $name: made from Debian packages"
  "$(dirname "${BASH_SOURCE[0]}")/../python-image" --suite "$2" --name "$name" --output "$3" &&
    "$rundlet" image import "$name" "$3"
}

# Asks the registry once, with a short timeout: a network that drops packets should not cost minutes. Uses the same
# proxy and bundle as `image pull`. A configured mirror counts as a registry that answers.
_registry_answers() {
  [ -z "${RUNDLET_OFFLINE:-}" ] || return 1
  [ -z "${RUNDLET_MIRRORS:-}" ] || return 0
  if [ -z "${_registry:-}" ]; then
    if SSL_CERT_FILE=${RUNDLET_CA_BUNDLE:-${SSL_CERT_FILE:-}} timeout 5 python3 - <<'ASK' 2>/dev/null; then
import os, urllib.error, urllib.request
if not os.environ["SSL_CERT_FILE"]:
    del os.environ["SSL_CERT_FILE"]
try:
    urllib.request.urlopen("https://registry-1.docker.io/v2/", timeout=5)
except urllib.error.HTTPError:  # it asks for a login
    pass
ASK
      _registry=yes
    else
      _registry=no
      say "the public registry does not answer within 5 s"
    fi
  fi
  [ "$_registry" = yes ]
}
