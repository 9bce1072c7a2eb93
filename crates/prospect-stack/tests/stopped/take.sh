#!/bin/sh
# Builds deep.c for each architecture and takes its registers and its stack where it crashes, from the gdb stub of
# qemu-user. It needs Debian's cross compilers (gcc-aarch64-linux-gnu and so on), qemu-user and gdb-multiarch.
# The expected frames in ../stopped.rs belong to these files.
set -e
cd "$(dirname "$0")"
port=41300
strip=-s
bytes=1024
fill=$(printf '%04000d' 0)

source=deep.c
remove=
# NAME COMPILER QEMU SP-REGISTER FLAGS...
take() {
    arch=$1 compiler=$2 qemu=$3 sp=$4
    shift 4
    port=$((port + 1))
    "$compiler" -O2 -g0 -static -nostdlib -ffreestanding -fno-stack-protector -fasynchronous-unwind-tables \
        -Wl,-e,main -Wl,--build-id=none -Wl,-z,noseparate-code -Wl,-z,max-page-size=4096 $strip "$@" \
        -o "$arch.elf" "$source"
    [ -z "$remove" ] || "${compiler%gcc}objcopy" --remove-section="$remove" "$arch.elf"
    # The environment lies above the first frame: not that of whoever runs this, but enough to read so far.
    timeout -k 5 60 env -i FILL="$fill" "$(command -v "$qemu")" -g $port "./$arch.elf" > /dev/null 2>&1 &
    stub=$!
    sleep 1
    # gdb's names for some registers are not ours: it calls every program counter pc.
    timeout 40 gdb-multiarch -nx -batch -ex "file ./$arch.elf" -ex "target remote :$port" -ex continue -ex bt \
        -ex "info registers" -ex "dump binary memory $arch.stack \$$sp \$$sp+$bytes" > "$arch.out" 2>&1 || true
    kill $stub 2> /dev/null || true
    chmod 644 "$arch.elf" # qemu wanted to execute it
    case $arch in
        ppc*) other='s/^pc /nip /' ;;
        s390x) other='s/^pc /pswa /' ;;
        riscv64) other='s/^fp /s0 /' ;;
        *) other= ;;
    esac
    sed -e "$other" "$arch.out" | awk '
        $1 ~ /^([rxtsa][0-9]+|sp|pc|lr|ra|gp|tp|nip|ctr|cr|xer|msr|cpsr|pswa|pswm)$/ && $2 ~ /^0x/ && !seen[$1]++ {
            print $1, substr($2, 3)
        }' > "$arch.registers"
    grep "^#" "$arch.out"
    rm "$arch.out"
}

take aarch64 aarch64-linux-gnu-gcc qemu-aarch64 sp -mbranch-protection=standard
take ppc64le powerpc64le-linux-gnu-gcc qemu-ppc64le r1
take ppc64 powerpc64-linux-gnu-gcc qemu-ppc64 r1
take ppc powerpc-linux-gnu-gcc qemu-ppc r1
take riscv64 riscv64-linux-gnu-gcc qemu-riscv64 sp -fno-omit-frame-pointer
bytes=2048 # of larger frames
take s390x s390x-linux-gnu-gcc qemu-s390x r15 -mbackchain
# There is no .eh_frame on ARM, and .debug_frame goes with what is stripped.
strip= bytes=1024
take arm arm-linux-gnueabihf-gcc qemu-arm sp -marm -g1 \
    -Wl,--defsym=__aeabi_unwind_cpp_pr0=0 -Wl,--defsym=__aeabi_unwind_cpp_pr1=0
arm-linux-gnueabihf-objcopy --strip-debug --keep-section=.debug_frame --strip-unneeded arm.elf

# Return addresses signed in leaf functions too, and with the other key.
bytes=1024 strip=-s
take aarch64-leaf aarch64-linux-gnu-gcc qemu-aarch64 sp -mbranch-protection=pac-ret+leaf
take aarch64-b-key aarch64-linux-gnu-gcc qemu-aarch64 sp -mbranch-protection=pac-ret+leaf+b-key
# SFrame alone: gas of binutils 2.40 writes version 1.
remove=.eh_frame
take aarch64-sframe aarch64-linux-gnu-gcc qemu-aarch64 sp -mbranch-protection=pac-ret -Wa,--gsframe
remove=
# ARM's exception tables alone.
personalities='-Wl,--defsym=__aeabi_unwind_cpp_pr0=0 -Wl,--defsym=__aeabi_unwind_cpp_pr1=0
    -Wl,--defsym=__gxx_personality_v0=0 -Wl,--defsym=__cxa_end_cleanup=0 -Wl,--defsym=__cxa_throw=0
    -Wl,--defsym=__cxa_allocate_exception=0 -Wl,--defsym=_ZTIi=0'
take arm-tables arm-linux-gnueabihf-gcc qemu-arm sp -marm -funwind-tables $personalities
take arm-thumb-tables arm-linux-gnueabihf-gcc qemu-arm sp -mthumb -funwind-tables $personalities
source=guarded.cc
take arm-guarded arm-linux-gnueabihf-gcc qemu-arm sp -marm -fexceptions $personalities
take arm-thumb-guarded arm-linux-gnueabihf-gcc qemu-arm sp -mthumb -fexceptions $personalities
