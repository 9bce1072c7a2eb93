# Prints the variables of all calls of all threads, part by part: T|thread, F|address|function, V|path|value.
# A value is a number in hexadecimal, or ! and why there is none.
import struct

import gdb

DEEPEST, MOST_ELEMENTS = 6, 8
COMPOSITE = (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION)
REFERENCE = (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF)
NOTHING = (gdb.TYPE_CODE_VOID, gdb.TYPE_CODE_FUNC, gdb.TYPE_CODE_METHOD)


def in_memory(value, size):
    """What lies where a value is."""
    data = gdb.selected_inferior().read_memory(int(value.address), size)
    return int.from_bytes(bytes(data), "little")


def is_interrupted(frame):
    """Whether a signal came while it ran: gdb has its vector registers only if they were not changed since."""
    newer = frame.newer()
    return newer is not None and newer.type() == gdb.SIGTRAMP_FRAME


def number(value, kind):
    """A value without parts, as the number that its bytes are."""
    size = kind.sizeof
    if kind.code in (gdb.TYPE_CODE_PTR,) + REFERENCE:
        # Converting one that was optimised out gives 0.
        if "synthetic pointer" in value.format_string(raw=True, symbols=False):
            raise ValueError("synthetic pointer")
    if kind.code in REFERENCE:
        return int(value.referenced_value().address)
    if kind.code == gdb.TYPE_CODE_FLT and size in (4, 8):
        data = struct.pack("<f" if size == 4 else "<d", float(value))
        if value.address is None and is_interrupted(frame):
            raise ValueError("script: vector registers behind a signal")
        # A value that was not fetched yet says now that it cannot be.
        if value.address is None:
            return int.from_bytes(data, "little")
        return in_memory(value, size)
    if size > 8 or kind.code in (gdb.TYPE_CODE_FLT, gdb.TYPE_CODE_COMPLEX, gdb.TYPE_CODE_MEMBERPTR):
        value.fetch_lazy()
        if value.is_optimized_out:
            raise ValueError("optimized out")
        if value.address is None:
            raise ValueError("script: too wide")
        return in_memory(value, size)
    return int(value) & (1 << 8 * size) - 1


def show(path, value, depth):
    try:
        kind = value.type.strip_typedefs()
        if kind.code in COMPOSITE:
            if depth == 0:
                return
            for field in kind.fields():
                if not hasattr(field, "bitpos") or not field.name or field.artificial:
                    continue
                below = path + "." + field.name
                try:
                    part = value[field]
                    if field.bitsize:
                        mask = (1 << field.bitsize) - 1
                        print("V|%s|%x" % (below, int(part) & mask))
                    else:
                        show(below, part, depth - 1)
                except (gdb.error, TypeError, ValueError) as error:
                    print("V|%s|!%s" % (below, str(error).replace("\n", " ")))
        elif kind.code == gdb.TYPE_CODE_ARRAY:
            first, last = kind.range()
            if depth > 0:
                for index in range(first, min(last, first + MOST_ELEMENTS - 1) + 1):
                    show("%s[%d]" % (path, index), value[index], depth - 1)
        elif kind.code not in NOTHING and kind.sizeof > 0:
            print("V|%s|%x" % (path, number(value, kind)))
    except (gdb.error, TypeError, NotImplementedError, ValueError, OverflowError) as error:
        print("V|%s|!%s" % (path, str(error).replace("\n", " ")))


def variables(frame):
    # Lengths of arrays are found in the frame that is selected.
    frame.select()
    try:
        block = frame.block()
    except RuntimeError:
        return
    seen = set()
    while block is not None:
        for symbol in block:
            # Of several with one name, the innermost is the one that a user means.
            if symbol.name in seen or not (symbol.is_argument or symbol.is_variable or symbol.is_constant):
                continue
            seen.add(symbol.name)
            try:
                value = symbol.value(frame)
            except (gdb.error, TypeError) as error:
                print("V|%s|!%s" % (symbol.name, str(error).replace("\n", " ")))
                continue
            show(symbol.name, value, DEEPEST)
        if block.function is not None:
            return
        block = block.superblock


gdb.execute("set backtrace past-main on")
gdb.execute("set backtrace past-entry on")
for thread in gdb.selected_inferior().threads():
    thread.switch()
    print("T|%d" % thread.ptid[1])
    frame = gdb.newest_frame()
    for _ in range(400):
        if frame is None:
            break
        print("F|%x|%s" % (frame.pc(), frame.name() or ""))
        variables(frame)
        try:
            frame = frame.older()
        except gdb.error:
            break
