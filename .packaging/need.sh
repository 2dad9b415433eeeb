#!/bin/sh
# Installs what is missing, by name, on Debian and its kin; calls apt only when something is missing.
# Usage: need.sh THING... with THING = command:package or path/below/usr/include.h:package; -- THING... after it: wanted, not needed.
set -eu
missing='' optional='' packages='' need=1
for thing in "$@"; do
  if [ "$thing" = -- ]; then need=0; continue; fi
  probe=${thing%%:*} package=${thing#*:}
  case $probe in
    *.h|*.hpp) [ -n "$(find /usr/include/"$probe" /usr/local/include/"$probe" /usr/include/*-linux-gnu*/"$probe" 2>/dev/null | head -n 1)" ] && continue ;;
    /*) [ -e "$probe" ] && continue ;;
    *) command -v "$probe" >/dev/null 2>&1 && continue ;;
  esac
  packages="$packages $package"
  if [ $need = 1 ]; then missing="$missing $package"; else optional="$optional $package"; fi
done
[ -n "$packages" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
  echo "Missing:$packages (Debian's names). Install them, then run this again." >&2
  [ -z "$missing" ] || exit 1
  exit 0
fi
as_root=''
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "Missing:$packages. Run as root:  apt-get update && apt-get install -y --no-install-recommends$packages" >&2
    [ -z "$missing" ] || exit 1
    exit 0
  fi
  as_root=sudo
fi
echo "Installing:$packages" >&2
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq >&2 || echo "apt-get update failed; trying with the package lists that are there" >&2
# shellcheck disable=SC2086
if [ -n "$missing" ]; then $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null; fi
# shellcheck disable=SC2086
if [ -n "$optional" ]; then $as_root apt-get install -y -qq --no-install-recommends $optional >/dev/null || echo "not installable here:$optional" >&2; fi
