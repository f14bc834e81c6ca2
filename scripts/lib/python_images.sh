# shellcheck shell=bash
# Python images for rundlet: from a registry that answers, else made here. Source this file; `rundlet` names the
# program, and `say` is a function that prints a line.

# ensure_python_image VERSION SUITE LAYOUT: has an image `python-VERSION`. Made from the packages of Debian's SUITE, as
# a layout in the directory LAYOUT, when no registry gives one.
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

# Asked once, and not for long: a network that drops packets should not cost minutes. The way is that of `image pull`
# (proxy and bundle). A mirror is its administrator's word that there is a registry.
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
except urllib.error.HTTPError:  # it wants a login
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
