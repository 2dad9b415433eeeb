#!/bin/sh
# Runs a program in an empty directory and removes the directory afterwards, whatever happened. Files may be named relatively.
set -u
for argument; do
  [ ! -f "$argument" ] || argument=$(realpath "$argument")
  set -- "$@" "$argument"
  shift
done
scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
cd "$scratch" && "$@"
