#!/bin/sh
# Runs a program in an empty directory and removes the directory afterwards, whatever happened.
set -u
program=$1; shift
scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
cd "$scratch" && "$program" "$@"
