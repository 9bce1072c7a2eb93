//! The system and the processor, and the process as a whole.

use std::time::{Duration, UNIX_EPOCH};

use prospect_process::{Arch, OperatingSystem, auxv};

use super::{Text, head::Head, kinds, subject::Subject};

/// `MINIDUMP_MISC_INFO_5`, and what of it is there: `MINIDUMP_MISC1_PROCESS_ID`, `MINIDUMP_MISC1_PROCESS_TIMES`,
/// `MINIDUMP_MISC4_BUILDSTRING`.
const MISC_BYTES: u32 = 1364;
const PROCESS_ID: u32 = 0x1;
const PROCESS_TIMES: u32 = 0x2;
const BUILD_STRING: u32 = 0x100;
/// `BuildString` has so many letters, with its end.
const BUILD_LETTERS: usize = 260;

/// Adds `SystemInfoStream` and `MiscInfoStream`.
pub(super) fn add(head: &mut Head, subject: &Subject<'_>) {
    let processor = Processor::of(subject);
    let version = subject.options.os_version;
    let text = head.string(version);
    let [major, minor, build] = numbers(version);
    head.stream(kinds::SYSTEM, |head| {
        [processor.architecture, processor.level, processor.revision]
            .into_iter()
            .for_each(|number| head.u16(number));
        // How many there are, and no kind of product.
        head.bytes(&[processor.count, 0]);
        [major, minor, build, platform(subject.process.info().system), text, 0]
            .into_iter()
            .for_each(|number| head.u32(number));
        head.bytes(&processor.information);
    });
    let info = subject.process.info();
    let threads = subject.process.threads();
    let total = |time: fn(&prospect_process::Thread) -> Option<Duration>| {
        threads.iter().filter_map(time).fold(Duration::ZERO, Duration::saturating_add)
    };
    let kernel = total(|thread| thread.kernel_time);
    let user = total(|thread| thread.cpu_time).saturating_sub(kernel);
    let started = info.started.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    head.stream(kinds::MISC, |head| {
        let flags = PROCESS_ID | PROCESS_TIMES | if version.is_empty() { 0 } else { BUILD_STRING };
        let numbers = [MISC_BYTES, flags, info.id.0, seconds(started), seconds(user), seconds(kernel)];
        numbers.into_iter().for_each(|number| head.u32(number));
        // Neither the processor's speed (`_2`), nor rights and time zone (`_3`).
        head.zeros(20 + 16 + 172);
        let mut letters: Vec<u16> = version.encode_utf16().take(BUILD_LETTERS - 1).collect();
        letters.resize(BUILD_LETTERS, 0);
        letters.into_iter().for_each(|letter| head.u16(letter));
        // No `DbgBldStr`; `CONTEXT_EX` says itself what it has; no cookie.
        head.zeros(80 + 528 + 4);
    });
}

/// `VER_PLATFORM_WIN32_NT`, and Breakpad's `MD_OS_…`.
fn platform(system: OperatingSystem) -> u32 {
    match system {
        OperatingSystem::Windows => 2,
        OperatingSystem::MacOs => 0x8101,
        OperatingSystem::Ios => 0x8102,
        OperatingSystem::Linux => 0x8201,
        OperatingSystem::Android => 0x8203,
        _ => 0x8000,
    }
}

/// What is known of the processor.
struct Processor {
    architecture: u16,
    level: u16,
    revision: u16,
    count: u8,
    /// `CPU_INFORMATION`.
    information: [u8; 24],
}

impl Processor {
    fn of(subject: &Subject<'_>) -> Self {
        let texts = subject.options.streams;
        let text = texts.iter().find(|stream| stream.kind == Text::CpuInfo.kind());
        let text = text.map(|stream| String::from_utf8_lossy(&stream.bytes)).unwrap_or_default();
        let value = |key: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(own, _)| own.trim() == key).map(|(_, value)| value.trim())
        };
        let number = |key: &str| value(key).and_then(|value| value.parse::<u16>().ok()).unwrap_or(0);
        let count =
            text.lines().filter(|line| line.split(':').next().is_some_and(|key| key.trim() == "processor"));
        let mut information = [0; 24];
        let arch = subject.process.info().arch;
        match arch {
            Arch::X86_64 | Arch::I386 => {
                // `VendorId`: what `cpuid` leaves in ebx, edx and ecx.
                let vendor = value("vendor_id").unwrap_or_default().as_bytes();
                let length = vendor.len().min(12);
                information[..length].copy_from_slice(&vendor[..length]);
            }
            Arch::Arm => {
                let capabilities = subject.auxv.get(auxv::HARDWARE_CAPABILITIES).unwrap_or(0) as u32;
                information[4..8].copy_from_slice(&capabilities.to_le_bytes());
            }
            _ => {}
        }
        Self {
            architecture: architecture(arch),
            level: number("cpu family"),
            revision: number("model") << 8 | number("stepping") & 0xff,
            count: u8::try_from(count.count()).unwrap_or(u8::MAX),
            information,
        }
    }
}

/// `PROCESSOR_ARCHITECTURE_…` (`winnt.h`), Breakpad's `MD_CPU_ARCHITECTURE_…` from 0x8000 on.
fn architecture(arch: Arch) -> u16 {
    match arch {
        Arch::I386 => 0,
        Arch::Ppc => 3,
        Arch::Arm => 5,
        Arch::X86_64 => 9,
        Arch::Aarch64 => 12,
        Arch::Ppc64 | Arch::Ppc64le => 0x8002,
        Arch::Riscv64 => 0x8006,
        _ => 0xffff,
    }
}

/// The numbers in `Linux 6.1.0-13-amd64 …`.
fn numbers(version: &str) -> [u32; 3] {
    let release = version.split_whitespace().nth(1).unwrap_or_default();
    let mut parts =
        release.split(|letter: char| !letter.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}
