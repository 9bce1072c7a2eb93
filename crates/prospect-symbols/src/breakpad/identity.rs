//! Which symbol file is that of a module: its name, and the number of the build.

use std::fmt::Write as _;

use prospect_process::{Arch, LinkAddr, Module, OperatingSystem, ProcessInfo};

use super::record::{Fields, Lines};
use crate::{Binary, binary::ImageFormat};

/// What a symbol file of a module is called, and what has to be in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SymbolFileName {
    /// The name of the file with debug information: that of the PDB, or of the module itself.
    name: String,
    /// The build: 32 digits of a GUID, and the age.
    id: String,
    pub(super) arch: Arch,
    /// Where the module begins, as linked.
    pub(super) base: LinkAddr,
}

/// How the number of a build is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    Elf,
    Pe,
    MachO,
}

impl SymbolFileName {
    /// That of a module; `None` where its build is not known.
    pub(crate) fn of_module(module: &Module, info: &ProcessInfo) -> Option<Self> {
        let format = match info.system {
            OperatingSystem::Windows => Format::Pe,
            OperatingSystem::MacOs | OperatingSystem::Ios => Format::MachO,
            _ => Format::Elf,
        };
        let base = LinkAddr(module.range.start.0.wrapping_sub(module.bias));
        let path = module.debug_file.as_ref().unwrap_or(&module.path);
        Self::new(path, &module.build_id.as_ref()?.0, format, info.arch, base)
    }

    /// That of a file which no process is asked about.
    pub(crate) fn of_binary(binary: &Binary) -> Option<Self> {
        const PAGE: u64 = 4096;
        let format = match binary.headers().image.as_ref().map(|image| &image.format) {
            None => Format::Elf,
            Some(ImageFormat::Pe { .. }) => Format::Pe,
            Some(ImageFormat::MachO) => Format::MachO,
        };
        let first_page = || Some(LinkAddr(binary.loads().map(|load| load.start.0).min()? & !(PAGE - 1)));
        let base = binary.image_base().or_else(first_page)?;
        let path = binary.path().as_os_str().as_encoded_bytes();
        Self::new(path, &binary.build_id()?.0, format, binary.arch()?, base)
    }

    fn new(path: &[u8], build: &[u8], format: Format, arch: Arch, base: LinkAddr) -> Option<Self> {
        let separators: &[u8] = if format == Format::Pe { b"/\\" } else { b"/" };
        let name = path.rsplit(|byte| separators.contains(byte)).next()?;
        let name = std::str::from_utf8(name).ok().filter(|name| !matches!(*name, "" | "." | ".."))?;
        let is_plain = !name.contains(|letter: char| letter.is_control() || "/\\".contains(letter));
        is_plain.then_some(Self { name: name.to_owned(), id: id(build, format)?, arch, base })
    }

    /// The paths below a directory or a server's address at which it may be, the likeliest first.
    pub(crate) fn paths(&self) -> Vec<String> {
        let Self { name, id, .. } = self;
        let stem = |end: &str| {
            let (stem, found) = name.split_at_checked(name.len().checked_sub(end.len())?)?;
            found.eq_ignore_ascii_case(end).then(|| format!("{name}/{id}/{stem}.sym"))
        };
        let whole = format!("{name}/{id}/{name}.sym");
        match stem(".pdb") {
            Some(path) => vec![path],
            // A program without a PDB: tools do not agree.
            None => [Some(whole), stem(".exe"), stem(".dll")].into_iter().flatten().collect(),
        }
    }

    /// Whether a file begins with this build.
    pub(super) fn check(&self, bytes: &[u8]) -> Result<(), String> {
        let (_, line) = Lines::from(bytes, 0).next().unwrap_or_default();
        let mut fields = Fields::of(line, "MODULE").ok_or("it does not begin as a symbol file")?;
        let _system_and_architecture = (fields.word(), fields.word());
        let found = String::from_utf8_lossy(fields.word().unwrap_or_default());
        if found.eq_ignore_ascii_case(&self.id) {
            return Ok(());
        }
        let shown: String = found.chars().take(64).collect();
        Err(format!("it is of the build {}, and not of {}", shown.escape_debug(), self.id))
    }
}

/// The number of a build as symbol files have it.
fn id(build: &[u8], format: Format) -> Option<String> {
    if build.is_empty() {
        return None;
    }
    // A PDB of before 2002 has the time of its making, and its age.
    if let (Format::Pe, Some((time, age))) = (format, build.split_first_chunk::<4>())
        && let Ok(age) = age.try_into()
    {
        return Some(format!("{:08X}{:x}", u32::from_le_bytes(*time), u32::from_le_bytes(age)));
    }
    let mut guid = [0; 16];
    let length = build.len().min(16);
    guid[..length].copy_from_slice(&build[..length]);
    // A GUID begins with numbers of 32, 16 and 16 bits, which are stored in the order of x86.
    if format != Format::MachO {
        guid[..4].reverse();
        guid[4..6].reverse();
        guid[6..8].reverse();
    }
    let mut id = String::with_capacity(40);
    for byte in guid {
        let _ = write!(id, "{byte:02X}");
    }
    let age = match format {
        Format::Pe => u32::from_le_bytes(*build.get(16..)?.first_chunk()?),
        Format::Elf | Format::MachO => 0,
    };
    let _ = write!(id, "{age:x}");
    Some(id)
}
