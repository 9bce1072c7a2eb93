//! Streams of Linux: texts of `/proc`, what the dynamic linker has loaded, and file descriptors.

use prospect_process::{Addr, OperatingSystem, Process, ThreadState, auxv, module::ElfImage};

use super::{Text, head::Head, kinds, memory, subject::Subject};

/// A dynamic section has some 30 entries.
const MOST_DYNAMIC_BYTES: u64 = 16 << 10;

/// Adds the streams that were given, what takes the place of those that were not, and what else Linux has.
pub(super) fn add(head: &mut Head, subject: &Subject<'_>) {
    let options = subject.options;
    for stream in options.streams {
        if is_permitted(subject, stream.kind) && !head.has(stream.kind) {
            head.stream(stream.kind, |head| head.bytes(&stream.bytes));
        }
    }
    if !options.handles.is_empty() {
        add_handles(head, subject);
    }
    let process = subject.process;
    if !matches!(process.info().system, OperatingSystem::Linux | OperatingSystem::Android) {
        return;
    }
    let command_line = || {
        let words = process.info().command_line.iter();
        let mut bytes: Vec<u8> = words.flat_map(|word| word.iter().copied().chain([0])).collect();
        if let Some(redaction) = &subject.redaction {
            redaction.clean_arguments(&mut bytes);
        }
        bytes
    };
    let maps = || process.mappings().iter().flat_map(memory::line).collect();
    let mut made = |text: Text, bytes: &dyn Fn() -> Vec<u8>| {
        if is_permitted(subject, text.kind()) && !head.has(text.kind()) {
            let bytes = bytes();
            if !bytes.is_empty() {
                head.stream(text.kind(), |head| head.bytes(&bytes));
            }
        }
    };
    made(Text::Maps, &maps);
    made(Text::Status, &|| status(process));
    made(Text::AuxiliaryVector, &|| subject.auxiliary_vector().to_vec());
    made(Text::CommandLine, &command_line);
    add_loaded(head, subject);
}

/// What is known of what `/proc/PID/status` says.
fn status(process: &dyn Process) -> Vec<u8> {
    let info = process.info();
    let first = process.threads().iter().find(|thread| thread.id.0 == info.id.0);
    let name: String = info.name.chars().filter(|letter| !letter.is_control()).collect();
    let mut text = format!("Name:\t{name}\n");
    let mut line = |name: &str, value: String| text.push_str(&format!("{name}:\t{value}\n"));
    if info.kernel.state != ThreadState::Unknown {
        line("State", char::from(info.kernel.state.code()).to_string());
    }
    line("Tgid", info.id.to_string());
    line("Pid", info.id.to_string());
    let numbers =
        [("PPid", info.parent), ("NSpgid", info.kernel.process_group), ("NSsid", info.kernel.session)];
    for (name, number) in numbers {
        if let Some(number) = number {
            line(name, number.to_string());
        }
    }
    if let Some((user, group)) = info.kernel.user_and_group {
        line("Uid", format!("{user}\t{user}\t{user}\t{user}"));
        line("Gid", format!("{group}\t{group}\t{group}\t{group}"));
    }
    line("Threads", process.threads().len().to_string());
    if let Some(first) = first {
        line("SigPnd", format!("{:016x}", first.signals.pending));
        line("SigBlk", format!("{:016x}", first.signals.blocked));
    }
    text.into_bytes()
}

/// Whether a stream may be there.
fn is_permitted(subject: &Subject<'_>, kind: u32) -> bool {
    match kind {
        kinds::LINUX_ENVIRONMENT => subject.options.environment,
        kinds::LINUX_COMMAND_LINE => subject.options.command_line,
        _ => true,
    }
}

/// Adds what the dynamic linker keeps for debuggers: Breakpad's `MDRawDebug`, its list of `MDRawLinkMap`, and behind it the
/// program's dynamic section.
fn add_loaded(head: &mut Head, subject: &Subject<'_>) {
    let process = subject.process;
    let (arch, raw, modules) = (process.info().arch, process.memory(), process.modules());
    let Some(program) = modules.executable() else { return };
    let Some(image) = ElfImage::read(program.first_mapping.start, raw) else { return };
    let Some(dynamic) = image.dynamic else { return };
    let loaded = modules.loaded_files(arch, raw);
    if loaded.is_empty() {
        return;
    }
    let is_wide = arch.info().word_bytes == 8;
    let word =
        |head: &mut Head, number: u64| if is_wide { head.u64(number) } else { head.u32(number as u32) };
    let names: Vec<u32> =
        loaded.iter().map(|file| head.string(&String::from_utf8_lossy(&file.path))).collect();
    let [_, list] = head.apart(8, &[]);
    for (file, name) in loaded.iter().zip(names) {
        word(head, file.bias);
        head.u32(name);
        word(head, file.dynamic.0);
    }
    let at: Addr = dynamic.start.to_addr(image.bias);
    let length = dynamic.end.0.saturating_sub(dynamic.start.0).min(MOST_DYNAMIC_BYTES);
    let mut section = vec![0; length as usize];
    let read = raw.read_available(at, &mut section);
    let trap = modules.loader_trap(arch, raw).map_or(0, |at| at.0);
    head.stream(kinds::LINUX_DSO, |head| {
        // `r_version`, of which all that is used has been there since 1.
        [1, list, loaded.len() as u32].into_iter().for_each(|number| head.u32(number));
        word(head, trap);
        word(head, subject.auxv.get(auxv::INTERPRETER_BASE).unwrap_or(0));
        word(head, at.0);
        head.bytes(&section[..read]);
    });
}

/// Adds `HandleDataStream`: `MINIDUMP_HANDLE_DATA_STREAM` and a `MINIDUMP_HANDLE_DESCRIPTOR` each.
fn add_handles(head: &mut Head, subject: &Subject<'_>) {
    let handles = subject.options.handles;
    let names: Vec<[u32; 2]> =
        handles.iter().map(|handle| [head.string(&handle.kind), head.string(&handle.name)]).collect();
    head.stream(kinds::HANDLES, |head| {
        [16, 32, handles.len() as u32, 0].into_iter().for_each(|number| head.u32(number));
        for (handle, [kind, name]) in handles.iter().zip(names) {
            head.u64(handle.number);
            [kind, name, handle.attributes, 0, 0, 0].into_iter().for_each(|number| head.u32(number));
        }
    });
}
