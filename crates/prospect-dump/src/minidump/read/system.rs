//! `SystemInfo` and `MiscInfo`.

use std::time::{Duration, SystemTime};

use prospect_process::{Arch, OperatingSystem};

use super::reader::{Reader, View, to_zero};
use crate::minidump::MinidumpError;

/// The system that a process ran on, as a minidump has it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SystemDetails {
    /// Its version: major, minor, build.
    pub version: (u32, u32, u32),
    /// More of its version: the service pack of Windows, on Linux what `uname -a` says.
    pub version_text: String,
    /// How many processors the machine has.
    pub processors: u8,
    /// The processor's maker and model, where that is said.
    pub processor: Option<String>,
    /// What the system was built from, where that is said.
    pub build: Option<String>,
}

/// `MINIDUMP_SYSTEM_INFO`.
pub(in super::super) struct System {
    pub(in super::super) arch: Arch,
    pub(in super::super) system: OperatingSystem,
    pub(in super::super) details: SystemDetails,
}

impl System {
    pub(in super::super) fn read(reader: &Reader<'_>, bytes: &[u8]) -> Result<Self, MinidumpError> {
        let view = reader.view(bytes);
        let machine = view.u16(0).ok_or(MinidumpError::NoSystem)?;
        let arch = arch(machine, reader.big_endian).ok_or(MinidumpError::UnknownMachine(machine))?;
        let number = |at| view.u32(at).unwrap_or(0);
        // `PlatformId`: `VER_PLATFORM_…`, and Breakpad's.
        let system = match number(20) {
            0..=3 => OperatingSystem::Windows,
            0x8101 => OperatingSystem::MacOs,
            0x8102 => OperatingSystem::Ios,
            0x8201 => OperatingSystem::Linux,
            0x8203 => OperatingSystem::Android,
            _ => OperatingSystem::Other,
        };
        let details = SystemDetails {
            version: (number(8), number(12), number(16)),
            version_text: reader.text(number(24)).unwrap_or_default(),
            processors: bytes.get(6).copied().unwrap_or(0),
            processor: processor(arch, view),
            build: None,
        };
        Ok(Self { arch, system, details })
    }
}

/// `PROCESSOR_ARCHITECTURE_…`, and Breakpad's.
fn arch(machine: u16, big_endian: bool) -> Option<Arch> {
    let arch = match machine {
        // `IA32_ON_WIN64` is a program of 32 bits, too.
        0 | 10 => Arch::I386,
        9 => Arch::X86_64,
        5 => Arch::Arm,
        12 | 0x8003 => Arch::Aarch64,
        3 => Arch::Ppc,
        0x8002 if big_endian => Arch::Ppc64,
        0x8002 => Arch::Ppc64le,
        0x8006 => Arch::Riscv64,
        _ => return None,
    };
    (arch.info().big_endian == big_endian).then_some(arch)
}

/// Of x86, what `CPUID` says: the maker, family, model and stepping.
fn processor(arch: Arch, view: View<'_>) -> Option<String> {
    let maker = view.from(32)?.get(..12)?;
    if arch != Arch::I386 || maker.iter().any(|byte| !byte.is_ascii_graphic()) {
        return None;
    }
    Some(String::from_utf8_lossy(maker).into_owned())
}

/// `MINIDUMP_MISC_INFO`, in any of its five lengths.
#[derive(Default)]
pub(in super::super) struct MiscInfo {
    pub(in super::super) process: Option<u32>,
    pub(in super::super) started: Option<SystemTime>,
    pub(in super::super) times: Option<(Duration, Duration)>,
    pub(in super::super) build: Option<String>,
}

impl MiscInfo {
    pub(in super::super) fn read(reader: &Reader<'_>, bytes: &[u8]) -> Self {
        const PROCESS_ID: u32 = 1;
        const PROCESS_TIMES: u32 = 2;
        const BUILD_STRING: u32 = 0x100;
        let view = reader.view(bytes);
        let flags = view.u32(4).unwrap_or(0);
        let field = |flag, at| view.u32(at).filter(|_| flags & flag != 0);
        let seconds = |at| field(PROCESS_TIMES, at).map(|seconds| Duration::from_secs(seconds.into()));
        let build = view.from(232).filter(|_| flags & BUILD_STRING != 0);
        Self {
            process: field(PROCESS_ID, 8),
            started: seconds(12).filter(|time| !time.is_zero()).map(|time| SystemTime::UNIX_EPOCH + time),
            times: seconds(16).zip(seconds(20)),
            build: build.map(|text| reader.view(&text[..text.len().min(520)]).utf16()),
        }
    }
}

/// A line of `/proc/cpuinfo` on the model of the processor.
pub(in super::super) fn model(cpu_info: &[u8]) -> Option<String> {
    let lines = to_zero(cpu_info).split(|byte| *byte == b'\n');
    let mut models = lines.filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (line[..at].trim_ascii(), line[at + 1..].trim_ascii());
        matches!(name, b"model name" | b"Hardware" | b"cpu")
            .then(|| String::from_utf8_lossy(value).into_owned())
    });
    models.next()
}
