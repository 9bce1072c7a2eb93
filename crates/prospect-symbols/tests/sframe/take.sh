#!/bin/sh
# Builds version-2.elf from program.c: the assembler of LLVM 22 (Debian's llvm-22) writes SFrame of version 2, and
# `ld.lld` leaves it as it is.
set -e
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gcc -O1 -fno-stack-protector -ffreestanding -fno-pie -S program.c -o "$work/program.s"
"${LLVM_MC:-llvm-mc-22}" --gsframe -filetype=obj -triple=x86_64-linux-gnu "$work/program.s" -o "$work/program.o"
ld.lld -e main --build-id=none -z noseparate-code -z max-page-size=4096 -s "$work/program.o" -o version-2.elf
chmod 644 version-2.elf
