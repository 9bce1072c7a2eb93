//! gdb as a witness: it looks at the thread through its own remote protocol, of which this is the far end. So it sees
//! the very moment that the walks see, though only one program can trace another.
//! (GDB manual, appendix "GDB Remote Serial Protocol".)

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Stdin, Stdout, Write as _, stdin, stdout},
};

use prospect::process::{Addr, Arch, Registers};

use super::follow::{Stepped, Witness};

/// The most bytes of memory in one answer.
const MOST_BYTES: usize = 0x1000;

/// gdb, which started this program and speaks through its standard input and output.
pub(crate) struct Gdb {
    input: BufReader<Stdin>,
    output: Stdout,
    auxiliary_vector: Vec<u8>,
    /// Whether gdb waits for the thread to stop.
    is_waiting: bool,
}

impl Gdb {
    pub(crate) fn new(pid: u32) -> Self {
        let auxiliary_vector = fs::read(format!("/proc/{pid}/auxv")).unwrap_or_default();
        Self { input: BufReader::new(stdin()), output: stdout(), auxiliary_vector, is_waiting: false }
    }

    /// The next request; `None` when gdb is gone.
    fn receive(&mut self) -> Option<String> {
        let mut skipped = Vec::new();
        self.input.read_until(b'$', &mut skipped).ok()?;
        let mut request = Vec::new();
        self.input.read_until(b'#', &mut request).ok()?;
        let mut sum = [0; 2];
        self.input.read_exact(&mut sum).ok()?;
        self.output.write_all(b"+").ok()?;
        request.pop()?;
        Some(String::from_utf8_lossy(&request).into_owned())
    }

    fn send(&mut self, answer: &str) -> Option<()> {
        let sum = answer.bytes().fold(0u8, u8::wrapping_add);
        write!(self.output, "${answer}#{sum:02x}").ok()?;
        self.output.flush().ok()
    }

    fn transfer(&self, range: &str) -> Option<String> {
        let (offset, length) = numbers(range)?;
        let rest = self.auxiliary_vector.get(offset as usize..)?;
        let part = &rest[..rest.len().min(length as usize).min(MOST_BYTES)];
        let mut answer = if part.len() < rest.len() { "m" } else { "l" }.to_owned();
        // The vector has bytes that have a meaning in the protocol: they are escaped. All others are sent as they
        // are, each as one byte.
        for byte in part {
            match byte {
                b'$' | b'#' | b'}' | b'*' => answer.extend(['}', char::from(byte ^ 0x20)]),
                byte => answer.push(char::from(*byte)),
            }
        }
        Some(answer)
    }

    /// Says that the thread has come to its end.
    pub(crate) fn end(&mut self) {
        if self.is_waiting {
            let _ = self.send("W00");
        }
    }
}

impl Witness for Gdb {
    fn addresses(&mut self, thread: &dyn Stepped) -> Option<Vec<Addr>> {
        if self.is_waiting {
            self.is_waiting = false;
            self.send("S05")?;
        }
        let (registers, memory) = (thread.registers()?, thread.process().memory());
        let mut said = None;
        loop {
            let request = self.receive()?;
            let answer = match request.split_at_checked(1)? {
                ("?", _) => "S05".to_owned(),
                ("g", _) => register_packet(&registers),
                ("m", range) => numbers(range).map_or("E01".to_owned(), |(at, length)| {
                    let mut bytes = vec![0; (length as usize).min(MOST_BYTES)];
                    let read = memory.read_available(Addr(at), &mut bytes);
                    if read == 0 { "E14".to_owned() } else { hex(&bytes[..read]) }
                }),
                // Breakpoints are not set: nobody runs into them.
                ("H" | "Z" | "z", _) => "OK".to_owned(),
                ("M" | "X" | "G", _) => "E01".to_owned(),
                ("c" | "s", _) => {
                    self.is_waiting = true;
                    return said;
                }
                ("D" | "k", _) => return None,
                ("q", rest) => match rest.split_once([':', ',']).unwrap_or((rest, "")) {
                    ("Supported", _) => format!("PacketSize={MOST_BYTES:x};qXfer:auxv:read+"),
                    ("Attached", _) => "1".to_owned(),
                    ("Xfer", rest) => rest
                        .strip_prefix("auxv:read::")
                        .and_then(|range| self.transfer(range))
                        .unwrap_or_default(),
                    ("Rcmd", text) => {
                        said = Some(addresses(text));
                        "OK".to_owned()
                    }
                    _ => String::new(),
                },
                _ => String::new(),
            };
            self.send_bytes(&answer)?;
        }
    }
}

impl Gdb {
    /// Sends an answer of which each character is a byte.
    fn send_bytes(&mut self, answer: &str) -> Option<()> {
        if answer.is_ascii() {
            return self.send(answer);
        }
        let bytes: Vec<u8> = answer.chars().map(|byte| byte as u8).collect();
        let sum = bytes.iter().copied().fold(0u8, u8::wrapping_add);
        self.output.write_all(b"$").ok()?;
        self.output.write_all(&bytes).ok()?;
        write!(self.output, "#{sum:02x}").ok()?;
        self.output.flush().ok()
    }
}

/// `HEX,HEX`.
fn numbers(text: &str) -> Option<(u64, u64)> {
    let (first, second) = text.split_once(',')?;
    Some((u64::from_str_radix(first, 16).ok()?, u64::from_str_radix(second, 16).ok()?))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The addresses, in hexadecimal with blanks between them, of a command that is itself written in hexadecimal.
fn addresses(command: &str) -> Vec<Addr> {
    let bytes = (0..command.len() / 2).filter_map(|index| command.get(2 * index..2 * index + 2));
    let text: String = bytes.filter_map(|byte| u8::from_str_radix(byte, 16).ok()).map(char::from).collect();
    text.split_whitespace().filter_map(|word| u64::from_str_radix(word, 16).ok()).map(Addr).collect()
}

/// The general registers in gdb's order, each in its size (gdb's `features/i386/*-core.xml`).
fn register_packet(registers: &Registers) -> String {
    const SEGMENTS: &str = "eflags cs ss ds es fs gs";
    let (names, word) = match registers.arch() {
        Arch::X86_64 => ("rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip", 8),
        _ => ("eax ecx edx ebx esp ebp esi edi eip", 4),
    };
    let value = |name: &str| {
        let found = registers.known().find(|(row, _)| row.name == name);
        found.map_or(0, |(_, value)| value)
    };
    let general = names.split(' ').map(|name| hex(&value(name).to_le_bytes()[..word]));
    general.chain(SEGMENTS.split(' ').map(|name| hex(&value(name).to_le_bytes()[..4]))).collect()
}
