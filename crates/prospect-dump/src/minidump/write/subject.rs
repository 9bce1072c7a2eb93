//! What a minidump is made of: a process, and what is known of a crash besides.

use std::ops::Range;

use prospect_process::{
    Addr, Exception, Process, RegisterSet, Registers, Thread, ThreadId,
    auxv::{self, Auxv},
};

use super::{Options, sanitize::Sanitizer, thread_memory};
use crate::{minidump::contexts, redact::Prepared, writing::WriteError};

/// A stack pointer that has run over its stack's end is at most so far below it.
const MOST_OVERRUN: u64 = 1 << 20;

/// A process, as a minidump shows it.
pub(super) struct Subject<'a> {
    pub(super) process: &'a dyn Process,
    pub(super) options: &'a Options<'a>,
    /// The thread that crashed, or that the dump is made for.
    pub(super) blamed: Option<ThreadId>,
    /// What happened to it; nothing where the dump was asked for.
    pub(super) exception: Option<Exception>,
    pub(super) auxv: Auxv,
    /// What is to be zeroed, found in the process.
    pub(super) redaction: Option<Prepared<'a>>,
    /// How many bytes of thread-local variables the program has.
    pub(super) program_bytes: u64,
}

impl<'a> Subject<'a> {
    pub(super) fn new(process: &'a dyn Process, options: &'a Options<'a>) -> Result<Self, WriteError> {
        let died = |thread: &&Thread| thread.signals.current != 0 && thread.signals.info.is_some();
        let died = process.threads().iter().find(died);
        let first = process.threads().first().map(|thread| thread.id);
        let exception = match options.crash_context {
            Some(context) => {
                context.signal.as_ref().map(|signal| Exception::of_signal(context.thread, signal))
            }
            None => process.info().exception.clone().or_else(|| {
                let thread = died?;
                let signal = thread.signals.decoded(process.info().arch)?;
                Some(Exception::of_signal(thread.id, &signal))
            }),
        };
        let blamed = options.crash_context.map(|context| context.thread);
        let blamed = blamed.or(exception.as_ref().map(|exception| exception.thread));
        let blamed = blamed.or(options.blamed_thread).or(first);
        let info = process.info().arch.info();
        let auxv = Auxv::parse(auxiliary_vector(process, options), info.word_bytes, info.big_endian);
        let redaction =
            options.redaction.map(|redaction| redaction.of(process, options.deadline)).transpose();
        let redaction = redaction.map_err(WriteError::Redaction)?;
        let program_bytes = thread_memory::program_bytes(process);
        Ok(Self { process, options, blamed, exception, auxv, redaction, program_bytes })
    }

    /// The bytes of the auxiliary vector.
    pub(super) fn auxiliary_vector(&self) -> &'a [u8] {
        auxiliary_vector(self.process, self.options)
    }

    /// A thread's registers: those of the crash where it is the one.
    pub(super) fn registers(&self, thread: ThreadId) -> Option<Registers> {
        let crashed = self.options.crash_context.filter(|context| context.thread == thread);
        crashed.and_then(|context| context.registers).or_else(|| self.process.registers(thread))
    }

    /// A thread's `CONTEXT`, without what a sanitised dump does not have. `None` where nothing is known, or there is no such
    /// thing.
    pub(super) fn context(&self, thread: ThreadId, sanitizer: Option<&Sanitizer<'_>>) -> Option<Vec<u8>> {
        let mut registers = self.registers(thread)?;
        if let Some(sanitizer) = sanitizer {
            registers = sanitizer.registers(&registers);
        }
        let crashed = self.options.crash_context.filter(|context| context.thread == thread);
        contexts::encode(&registers, |set: RegisterSet| match crashed {
            _ if self.options.hides_values() => None,
            Some(context) if context.registers.is_some() => context.set(set),
            _ => self.process.register_set(thread, set),
        })
    }

    /// The part of a thread's stack in use: from sp, and the red zone below it, to where the thread's descriptor lies or its
    /// mapping ends. A mapping may hold more than a stack: the kernel joins those of one kind.
    pub(super) fn stack(&self, thread: ThreadId) -> Option<Range<Addr>> {
        let process = self.process;
        let sp = self.registers(thread)?.sp()?;
        let mappings = process.mappings();
        let readable = mappings.at(sp).filter(|mapping| mapping.permissions.read);
        // Where the stack has run over, sp is in the guard below it, or in nothing.
        let (mapping, from) = match readable {
            Some(mapping) => {
                let red_zone = u64::from(process.info().arch.info().red_zone_bytes);
                (mapping, mapping.range.start.max(Addr(sp.0.saturating_sub(red_zone))))
            }
            None => {
                let above = mappings.as_slice();
                let index = above.partition_point(|mapping| mapping.range.end <= sp);
                let near = |mapping: &&prospect_process::Mapping| {
                    mapping.permissions.write && mapping.range.start.0.saturating_sub(sp.0) <= MOST_OVERRUN
                };
                let mapping = above.get(index..)?.iter().take(2).find(near)?;
                (mapping, mapping.range.start)
            }
        };
        let end = self.end_of_variables(thread, from).unwrap_or(mapping.range.end).min(mapping.range.end);
        let end = self
            .strings()
            .filter(|strings| strings.contains(&end) || strings.end == end)
            .map_or(end, |strings| strings.start);
        (from < end).then_some(from..end)
    }

    /// The arguments and the environment as the kernel put them above the first thread's stack, where they are to be left out.
    /// Below them it puts 16 random bytes and the name of the platform (`create_elf_tables` in `fs/binfmt_elf.c`), and tells
    /// where.
    pub(super) fn strings(&self) -> Option<Range<Addr>> {
        if self.options.environment {
            return None;
        }
        const PLATFORM: u64 = 15;
        let places = [auxv::RANDOM, PLATFORM].into_iter().filter_map(|kind| self.auxv.get(kind));
        let at = Addr(places.filter(|at| *at != 0).min()?);
        let mapping = self.process.mappings().at(at)?;
        (mapping.permissions.write && mapping.file.is_none()).then_some(at..mapping.range.end)
    }

    /// What stacks have to refer to, if they have to: nothing where that is not mapped.
    pub(super) fn principal(&self) -> Option<Range<Addr>> {
        let at = self.options.principal_mapping_address?;
        let module = self.process.modules().at(at).map(|module| module.range.clone());
        module.or_else(|| Some(self.process.mappings().at(at)?.range.clone()))
    }

    /// Whether a thread runs in `principal`, or its stack has an address in it.
    pub(super) fn refers_to(&self, thread: ThreadId, stack: &Range<Addr>, principal: &Range<Addr>) -> bool {
        let info = self.process.info();
        let is_in = |word: u64| principal.contains(&Addr(info.code_address(word)));
        if self.registers(thread).and_then(|registers| registers.pc()).is_some_and(|pc| is_in(pc.0)) {
            return true;
        }
        let (info, memory) = (info.arch.info(), self.process.memory());
        let word_bytes = u64::from(info.word_bytes);
        let mut buffer = vec![0; 64 << 10];
        let mut at = Addr(stack.start.0.next_multiple_of(word_bytes));
        while at < stack.end {
            let wanted = (stack.end.0 - at.0).min(buffer.len() as u64) as usize;
            let read = memory.read_available(at, &mut buffer[..wanted]);
            let mut words = buffer[..read].chunks_exact(usize::from(info.word_bytes));
            if words.any(|word| info.word(word).is_some_and(is_in)) {
                return true;
            }
            if read < wanted {
                return false;
            }
            at = at.wrapping_add(wanted as u64);
        }
        false
    }
}

fn auxiliary_vector<'a>(process: &'a dyn Process, options: &Options<'a>) -> &'a [u8] {
    options.auxiliary_vector.unwrap_or(&process.info().kernel.auxiliary_vector)
}
