# Run by gdb: writes every thread's frames as JSON to the file that ORACLE_OUT names.
import json
import os

import gdb

LIMIT = 400


def frames():
    found, frame = [], gdb.newest_frame()
    while frame is not None and len(found) < LIMIT:
        if frame.type() != gdb.TAILCALL_FRAME:
            found.append({"pc": frame.pc(), "function": frame.name(), "inline": frame.type() == gdb.INLINE_FRAME})
        frame = frame.older()
    return found


threads = []
for thread in gdb.selected_inferior().threads():
    record = {"tid": thread.ptid[1] or thread.ptid[0], "frames": []}
    try:
        thread.switch()
        record["frames"] = frames()
    except gdb.error as error:
        record["error"] = str(error)
    threads.append(record)
with open(os.environ["ORACLE_OUT"], "w") as out:
    json.dump(threads, out)
