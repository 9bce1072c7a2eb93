# Prints all variables of all frames, part by part: VALUE|frame|name|bytes, or ! and why there are none.
import struct

import gdb

COMPOSITE = (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION)


def show(level, path, value):
    try:
        if "synthetic pointer" in str(value):
            raise ValueError("synthetic pointer")
        kind = value.type.strip_typedefs()
        if kind.code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
            value = value.referenced_value().address
            kind = value.type.strip_typedefs()
        if kind.code in COMPOSITE:
            for field in kind.fields():
                if hasattr(field, "bitpos") and field.name and not field.bitsize:
                    show(level, path + "." + field.name, value[field])
            return
        if kind.code == gdb.TYPE_CODE_ARRAY:
            first, last = kind.range()
            for index in range(first, min(last, first + 15) + 1):
                show(level, "%s[%d]" % (path, index), value[index])
            return
        if kind.code == gdb.TYPE_CODE_FLT and kind.sizeof in (4, 8):
            data = struct.pack("<f" if kind.sizeof == 4 else "<d", float(value))
        else:
            data = (int(value) & (1 << 8 * kind.sizeof) - 1).to_bytes(kind.sizeof, "little")
        print("VALUE|%d|%s|%s" % (level, path, data.hex()))
    except (gdb.error, TypeError, NotImplementedError, ValueError) as error:
        print("VALUE|%d|%s|!%s" % (level, path, str(error).replace("\n", " ")))


def show_all():
    level, frame = 0, gdb.newest_frame()
    while frame is not None:
        # What made a call as a jump has no frame of its own.
        if frame.type() == gdb.TAILCALL_FRAME:
            frame = frame.older()
            continue
        try:
            block = frame.block()
        except RuntimeError:
            block = None
        seen = set()
        while block is not None:
            for symbol in block:
                is_one = symbol.is_argument or symbol.is_variable or symbol.is_constant
                if is_one and symbol.name not in seen:
                    seen.add(symbol.name)
                    try:
                        value = symbol.value(frame)
                    except (gdb.error, TypeError) as error:
                        print("VALUE|%d|%s|!%s" % (level, symbol.name, error))
                        continue
                    show(level, symbol.name, value)
            if block.function is not None:
                break
            block = block.superblock
        level, frame = level + 1, frame.older()


gdb.execute("set backtrace past-main on")
show_all()
