//! A program that an emulator runs instruction by instruction: the near end of the remote protocol that qemu's programs
//! for foreign user code speak (`qemu-aarch64 -g SOCKET`).

use std::{
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use prospect::{
    live::StepStop,
    process::{
        self, Addr, Advice, CapturedMemory, FileId, FrozenProcess, Mapping, Mappings, Memory, MemoryError,
        Permissions, Process, ProcessId, ProcessInfo, RegisterId, Registers, Unreadable,
    },
};

use super::follow::Stepped;

const PATIENCE: Duration = Duration::from_secs(10);
/// Memory is read in pieces of so many bytes.
const PIECE: u64 = 1024;

/// The program, and the connection with its emulator.
pub(crate) struct Emulated {
    child: Child,
    process: FrozenProcess,
    remote: Arc<Remote>,
    registers: Option<Registers>,
    /// The signal that it is about to get, as the protocol says it.
    signal: Option<String>,
}

struct Remote {
    connection: Mutex<BufReader<UnixStream>>,
    /// What was read since the last step; and of code, which stays as it is, at all times.
    pieces: Mutex<HashMap<u64, Option<Vec<u8>>>>,
    code: (u64, u64),
}

impl Remote {
    fn ask(&self, request: &str) -> Option<String> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = request.bytes().fold(0u8, u8::wrapping_add);
        write!(connection.get_mut(), "+${request}#{sum:02x}").ok()?;
        let mut skipped = Vec::new();
        connection.read_until(b'$', &mut skipped).ok()?;
        let (mut answer, mut sum) = (Vec::new(), [0; 2]);
        connection.read_until(b'#', &mut answer).ok()?;
        connection.read_exact(&mut sum).ok()?;
        answer.pop()?;
        String::from_utf8(answer).ok()
    }

    fn forget(&self) {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.retain(|piece, _| (self.code.0..self.code.1).contains(piece));
    }
}

/// Shared with the process that reads through it.
struct RemoteMemory(Arc<Remote>);

impl Memory for RemoteMemory {
    fn read_up_to(&self, at: Addr, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        let start = at.0 & !(PIECE - 1);
        let known = self.0.pieces.lock().unwrap_or_else(PoisonError::into_inner).get(&start).cloned();
        let piece = known.unwrap_or_else(|| {
            let read = self.0.ask(&format!("m{start:x},{PIECE:x}")).and_then(|answer| bytes(&answer));
            self.0.pieces.lock().unwrap_or_else(PoisonError::into_inner).insert(start, read.clone());
            read
        });
        let rest = piece.as_ref().and_then(|piece| piece.get((at.0 - start) as usize..));
        let rest =
            rest.filter(|rest| !rest.is_empty()).ok_or(MemoryError { at, why: Unreadable::Unmapped })?;
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

impl Emulated {
    /// Starts an emulator with a static program of AArch64, and runs that to the instruction at `from`.
    ///
    /// The processor is one with atomic instructions: what loads and stores exclusively instead would never get through
    /// between single steps.
    pub(crate) fn start(emulator: &str, program: &Path, args: &[String], from: Addr) -> Result<Self, String> {
        let failed = |error: std::io::Error| error.to_string();
        let socket = std::env::temp_dir().join(format!("prospect-emulated-{}", std::process::id()));
        let mut command = Command::new(emulator);
        command
            .args(["-cpu", "max", "-g"])
            .arg(&socket)
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let mut child = command.spawn().map_err(failed)?;
        let deadline = Instant::now() + PATIENCE;
        let connection = loop {
            match UnixStream::connect(&socket) {
                Ok(connection) => break connection,
                Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                Err(error) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(error.to_string());
                }
            }
        };
        let _ = fs::remove_file(&socket);
        connection.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        let mappings = mappings(program).ok_or("it is no ELF file of 64 bits")?;
        let is_code = |mapping: &&Mapping| mapping.permissions.execute && mapping.file.is_some();
        let code =
            mappings.iter().find(is_code).map_or((0, 0), |code| (code.range.start.0, code.range.end.0));
        let connection = Mutex::new(BufReader::new(connection));
        let remote = Arc::new(Remote { connection, pieces: Mutex::default(), code });
        let mut info = ProcessInfo::new(ProcessId(child.id()), process::Arch::Aarch64);
        info.executable = Some(program.as_os_str().as_encoded_bytes().to_vec());
        let memory = Box::new(RemoteMemory(Arc::clone(&remote)));
        let process =
            FrozenProcess::new(info, Vec::new(), CapturedMemory::default(), Mappings::new(mappings))
                .over(memory);
        let mut emulated = Self { child, process, remote, registers: None, signal: None };
        let there = [format!("Z0,{:x},4", from.0), "c".to_owned(), format!("z0,{:x},4", from.0)];
        for request in there {
            emulated.remote.ask(&request).ok_or("the emulator does not answer")?;
        }
        emulated.remote.forget();
        emulated.read_registers();
        Ok(emulated)
    }

    /// The general registers in the protocol's order: x0 to x30, sp, pc (gdb's `features/aarch64-core.xml`), which is
    /// that of the table.
    fn read_registers(&mut self) {
        let answer = self.remote.ask("g").and_then(|answer| bytes(&answer));
        self.registers = answer.filter(|bytes| bytes.len() >= 33 * 8).map(|bytes| {
            let mut registers = Registers::unknown(process::Arch::Aarch64);
            for (index, word) in bytes.chunks_exact(8).take(33).enumerate() {
                let word = word.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
                registers.set(RegisterId(index as u8), word);
            }
            registers
        });
    }
}

impl Stepped for Emulated {
    fn registers(&self) -> Option<Registers> {
        self.registers
    }

    fn process(&self) -> &dyn Process {
        &self.process
    }

    fn step(&mut self) -> Result<StepStop, String> {
        let signal = self.signal.take();
        let entered = signal.is_some();
        let answer = self.remote.ask(&signal.map_or("s".to_owned(), |signal| format!("vCont;S{signal}")));
        self.remote.forget();
        self.registers = None;
        let answer = answer.ok_or("the emulator does not answer")?;
        let (kind, rest) = answer.split_at_checked(1).unwrap_or_default();
        let number = rest.get(..2).unwrap_or_default();
        if !matches!(kind, "S" | "T") {
            return Ok(StepStop::Ended);
        }
        self.read_registers();
        if number != "05" {
            self.signal = Some(number.to_owned());
            return Ok(StepStop::Signal(i32::from_str_radix(number, 16).unwrap_or(0)));
        }
        Ok(if entered { StepStop::Handler } else { StepStop::Instruction })
    }

    fn refresh(&mut self) {}
}

impl Drop for Emulated {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a static program maps; and that all above it may be code too: the emulator has its signal trampoline there.
fn mappings(program: &Path) -> Option<Vec<Mapping>> {
    let file = fs::read(program).ok()?;
    let number = |at: usize, bytes: usize| {
        let bytes = file.get(at..at + bytes)?;
        Some(bytes.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    let (table, size, count) = (number(32, 8)? as usize, number(54, 2)? as usize, number(56, 2)? as usize);
    let mut mappings = Vec::new();
    let mut end = 0;
    for header in (0..count).map(|index| table + index * size) {
        let (flags, offset, at, bytes) = (
            number(header + 4, 4)?,
            number(header + 8, 8)?,
            number(header + 16, 8)?,
            number(header + 40, 8)?,
        );
        if number(header, 4)? != 1 {
            continue;
        }
        let start = at & !0xfff;
        end = (at + bytes).next_multiple_of(0x1000);
        mappings.push(Mapping {
            range: Addr(start)..Addr(end),
            permissions: Permissions {
                read: true,
                write: flags & 2 != 0,
                execute: flags & 1 != 0,
                shared: false,
            },
            offset: offset & !0xfff,
            file: Some(FileId { device: (0, 0), inode: 1 }),
            name: program.as_os_str().as_encoded_bytes().to_vec(),
            deleted: false,
            advice: Advice::default(),
        });
    }
    mappings.push(Mapping {
        range: Addr(end)..Addr(1 << 48),
        permissions: Permissions { read: true, write: true, execute: true, shared: false },
        offset: 0,
        file: None,
        name: Vec::new(),
        deleted: false,
        advice: Advice::default(),
    });
    Some(mappings)
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = (0..text.len() / 2).map(|index| text.get(2 * index..2 * index + 2));
    digits.map(|digits| u8::from_str_radix(digits?, 16).ok()).collect()
}
