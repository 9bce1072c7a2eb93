//! Exceptions of Windows (`ntstatus.h`, `winnt.h`, `minwinbase.h`).

use super::Access;
use crate::Addr;

const ACCESS_VIOLATION: u32 = 0xc000_0005;
const IN_PAGE_ERROR: u32 = 0xc000_0006;
const FAIL_FAST: u32 = 0xc000_0409;

/// The code, its name, and what it means.
const CODES: &[(u32, &str, Option<&str>)] = &[
    (ACCESS_VIOLATION, "EXCEPTION_ACCESS_VIOLATION", Some("memory that could not be accessed")),
    (IN_PAGE_ERROR, "EXCEPTION_IN_PAGE_ERROR", Some("a page that could not be loaded")),
    (0x8000_0001, "EXCEPTION_GUARD_PAGE", None),
    (0x8000_0002, "EXCEPTION_DATATYPE_MISALIGNMENT", Some("invalid alignment")),
    (0x8000_0003, "EXCEPTION_BREAKPOINT", None),
    (0x8000_0004, "EXCEPTION_SINGLE_STEP", None),
    (0x4000_1000, "EXCEPTION_WX86_BREAKPOINT", None),
    (0x4000_0015, "STATUS_FATAL_APP_EXIT", Some("abort was called")),
    (0x4001_0005, "DBG_CONTROL_C", None),
    (0x4001_0006, "DBG_PRINTEXCEPTION_C", None),
    (0x406d_1388, "MS_VC_EXCEPTION", Some("the name of a thread")),
    (0xc000_0008, "EXCEPTION_INVALID_HANDLE", None),
    (0xc000_0017, "STATUS_NO_MEMORY", None),
    (0xc000_001d, "EXCEPTION_ILLEGAL_INSTRUCTION", Some("illegal opcode")),
    (0xc000_0025, "EXCEPTION_NONCONTINUABLE_EXCEPTION", None),
    (0xc000_0026, "EXCEPTION_INVALID_DISPOSITION", None),
    (0xc000_008c, "EXCEPTION_ARRAY_BOUNDS_EXCEEDED", None),
    (0xc000_008d, "EXCEPTION_FLT_DENORMAL_OPERAND", None),
    (0xc000_008e, "EXCEPTION_FLT_DIVIDE_BY_ZERO", Some("floating point division by zero")),
    (0xc000_008f, "EXCEPTION_FLT_INEXACT_RESULT", None),
    (0xc000_0090, "EXCEPTION_FLT_INVALID_OPERATION", None),
    (0xc000_0091, "EXCEPTION_FLT_OVERFLOW", None),
    (0xc000_0092, "EXCEPTION_FLT_STACK_CHECK", None),
    (0xc000_0093, "EXCEPTION_FLT_UNDERFLOW", None),
    (0xc000_0094, "EXCEPTION_INT_DIVIDE_BY_ZERO", Some("integer division by zero")),
    (0xc000_0095, "EXCEPTION_INT_OVERFLOW", Some("integer overflow")),
    (0xc000_0096, "EXCEPTION_PRIV_INSTRUCTION", Some("privileged opcode")),
    (0xc000_00fd, "EXCEPTION_STACK_OVERFLOW", Some("the stack is full")),
    (0xc000_0135, "STATUS_DLL_NOT_FOUND", None),
    (0xc000_0139, "STATUS_ENTRYPOINT_NOT_FOUND", None),
    (0xc000_013a, "STATUS_CONTROL_C_EXIT", None),
    (0xc000_0142, "STATUS_DLL_INIT_FAILED", None),
    (0xc000_0194, "EXCEPTION_POSSIBLE_DEADLOCK", None),
    (0xc000_0374, "STATUS_HEAP_CORRUPTION", Some("the heap is damaged")),
    (FAIL_FAST, "STATUS_STACK_BUFFER_OVERRUN", Some("the program ended itself")),
    (0xc000_0417, "STATUS_INVALID_CRUNTIME_PARAMETER", None),
    (0xc000_041d, "STATUS_FATAL_USER_CALLBACK_EXCEPTION", None),
    (0xc000_0420, "STATUS_ASSERTION_FAILURE", None),
    (0xe06d_7363, "an exception of C++", Some("not caught")),
    (0xe043_4352, "an exception of .NET", Some("not caught")),
    (0xe000_0001, "an exception of Go", None),
];

pub(super) fn name(code: u32) -> Option<&'static str> {
    CODES.iter().find(|(one, ..)| *one == code).map(|(_, name, _)| *name)
}

/// The first parameter of a program that ended itself says why (`winnt.h`, `FAST_FAIL_…`).
pub(super) fn reason(code: u32, parameter: Option<u64>) -> Option<&'static str> {
    match (code, parameter) {
        (FAIL_FAST, Some(2)) => Some("a stack cookie was overwritten"),
        (FAIL_FAST, Some(3)) => Some("a list is damaged"),
        (FAIL_FAST, Some(7)) => Some("abort was called"),
        (FAIL_FAST, Some(10)) => Some("an indirect call to where none may go"),
        _ => CODES.iter().find(|(one, ..)| *one == code)?.2,
    }
}

/// The parameters of these two: what was done, and the address.
pub(super) fn memory_fault(code: u32, parameters: &[u64]) -> Option<(Addr, Option<Access>)> {
    let ([access, at, ..], ACCESS_VIOLATION | IN_PAGE_ERROR) = (parameters, code) else { return None };
    let access = match access {
        0 => Some(Access::Read),
        1 => Some(Access::Write),
        8 => Some(Access::Execute),
        _ => None,
    };
    Some((Addr(*at), access))
}
