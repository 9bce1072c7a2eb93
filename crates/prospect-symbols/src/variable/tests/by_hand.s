# Debug information that no compiler at hand writes: wide numbers, values at a call that are computed, scopes that begin
# later, members that are found by an expression.
        .text
        .type callee, @function
callee: .skip 32
        .size callee, 32
caller: .skip 32
.Lcaller_end:
        .globl _start
_start: ret

        .macro abbreviation code tag children
        .uleb128 \code, \tag
        .byte \children
        .endm

        .section .debug_abbrev,"",@progbits
        abbreviation 1 0x11 1           # compile unit: low_pc, high_pc
        .uleb128 0x11, 0x01, 0x12, 0x07, 0, 0
        abbreviation 2 0x24 0           # base type: encoding, byte_size
        .uleb128 0x3e, 0x0b, 0x0b, 0x0b, 0, 0
        abbreviation 3 0x2e 1           # subprogram: name, low_pc, high_pc
        .uleb128 0x03, 0x08, 0x11, 0x01, 0x12, 0x07, 0, 0
        abbreviation 4 0x34 0           # variable: name, type, start_scope as a constant, location
        .uleb128 0x03, 0x08, 0x49, 0x13, 0x2c, 0x0f, 0x02, 0x18, 0, 0
        abbreviation 5 0x34 0           # the same, start_scope as a list
        .uleb128 0x03, 0x08, 0x49, 0x13, 0x2c, 0x17, 0x02, 0x18, 0, 0
        abbreviation 6 0x34 0           # the same without
        .uleb128 0x03, 0x08, 0x49, 0x13, 0x02, 0x18, 0, 0
        abbreviation 7 0x13 1           # structure: byte_size
        .uleb128 0x0b, 0x0b, 0, 0
        abbreviation 8 0x0d 0           # member: name, type, data_member_location
        .uleb128 0x03, 0x08, 0x49, 0x13, 0x38, 0x18, 0, 0
        abbreviation 9 0x48 1           # call site: call_return_pc, call_origin
        .uleb128 0x7d, 0x01, 0x7f, 0x13, 0, 0
        abbreviation 10 0x49 0          # its parameter: location, call_value
        .uleb128 0x02, 0x18, 0x7e, 0x18, 0, 0
        abbreviation 11 0x49 0          # the same, with call_data_value
        .uleb128 0x02, 0x18, 0x7e, 0x18, 0x86, 0x18, 0, 0
        .byte 0

        .macro block bytes:vararg
        .uleb128 9f - 8f
8:      .byte \bytes
9:
        .endm
        .macro base encoding size
        .uleb128 2
        .byte \encoding, \size
        .endm
        .macro variable name type bytes:vararg
        .uleb128 6
        .asciz "\name"
        .4byte \type - .Linfo
        block \bytes
        .endm

        .section .debug_info,"",@progbits
.Linfo: .4byte .Linfo_end - .Lversion
.Lversion:
        .2byte 5
        .byte 1, 8
        .4byte 0
        .uleb128 1
        .8byte callee, .Lcaller_end - callee
.Lint:  base 5 4                        # at 29
.Li128: base 5 16                       # at 32
.Lu128: base 7 16                       # at 35
.Lf128: base 4 16                       # at 38
.Lf64:  base 4 8                        # at 41
.Lu64:  base 7 8                        # at 44
        .uleb128 7                      # at 47
        .byte 16
        .uleb128 8
        .asciz "tripled"
        .4byte .Lint - .Linfo
        block 0x12, 0x94, 1, 0x33, 0x1e, 0x22
        .byte 0
.Lcallee:
        .uleb128 3
        .asciz "callee"
        .8byte callee, 32
        .uleb128 4
        .asciz "from_8"
        .4byte .Lint - .Linfo
        .uleb128 8
        block 0x31, 0x9f
        .uleb128 5
        .asciz "listed"
        .4byte .Lint - .Linfo
        .4byte .Llist
        block 0x32, 0x9f
        variable sum .Lint 0xa3, 2, 0x75, 8, 0x9f
        variable product .Lint 0xa3, 5, 0x75, 0, 0x74, 0, 0x1e, 0x9f
        variable pointed .Lint 0xa3, 4, 0x72, 0, 0x94, 2, 0x9f
        variable forgotten .Lint 0xa3, 3, 0x74, 0, 0x06, 0x9f
        variable in_vector .Lf64 0xa3, 3, 0xa5, 17, 41, 0x9f
        variable wide .Lu128 0xa3, 1, 0x62, 0x9f
        variable in_pieces .Lu64 0xa3, 1, 0x55, 0x9f, 0x93, 4, 0xa3, 1, 0x54, 0x9f, 0x93, 4
        .byte 0
        .uleb128 3
        .asciz "caller"
        .8byte caller, 32
        .uleb128 9
        .8byte caller + 5
        .4byte .Lcallee - .Linfo
        .uleb128 10                     # rdi: 5
        block 0x55
        block 0x35
        .uleb128 10                     # rsi: 6
        block 0x54
        block 0x36
        .uleb128 11                     # rcx: what it points to is 0x12345
        block 0x52
        block 0x30
        block 0x0c, 0x45, 0x23, 1, 0
        .uleb128 10                     # xmm0: 2.5
        block 0x61
        block 0xa4, 41, 8, 0, 0, 0, 0, 0, 0, 4, 0x40
        .uleb128 10                     # xmm1: 2 << 64 | 1
        block 0x62
        block 0xa4, 35, 16, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0
        .byte 0
        .byte 0
        .byte 0
.Linfo_end:

        .section .debug_rnglists,"",@progbits
        .4byte .Llists_end - .Llists
.Llists: .2byte 5
        .byte 8, 0
        .4byte 0
.Llist: .byte 6                         # DW_RLE_start_end
        .8byte callee + 4, callee + 6
        .byte 6
        .8byte callee + 20, callee + 24
        .byte 0
.Llists_end:
