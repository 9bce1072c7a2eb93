//! A binary of which only a process's memory is left: the vdso, and files that cannot be opened.

use std::{path::PathBuf, sync::Arc};

use gimli::RunTimeEndian;
use prospect_process::{Arch, LinkAddr, Memory, Module, ModuleKind, module::ElfImage};

use super::{
    Binary, BinaryError, Expected, FileBytes, Headers, Segment,
    loaded::{self, LoadedMemory},
    pe,
};

/// The vdso has a page or three.
const LARGEST_VDSO: u64 = 1 << 20;

impl Binary {
    /// What the memory of a process holds of a module whose file cannot be had: its unwind information
    /// and its dynamic symbols. Of the vdso, all, and of images of Windows.
    ///
    /// # Errors
    /// When the headers in memory make no sense.
    pub fn from_memory(module: &Module, memory: &dyn Memory) -> Result<Self, BinaryError> {
        let path = PathBuf::from(module.path_lossy().as_ref());
        if module.kind == ModuleKind::Vdso {
            let length = (module.range.end.0.saturating_sub(module.range.start.0)).min(LARGEST_VDSO);
            let mut bytes = Vec::new();
            loaded::copy(memory, module.range.start, length as usize, &mut bytes);
            return Self::from_bytes(path, Arc::new(FileBytes::Owned(bytes)));
        }
        let start = pe::read_image(module.range.start, memory);
        if let Some(bytes) = start {
            let base = LinkAddr(module.range.start.0.wrapping_sub(module.bias));
            let expected = Expected { arch: None, base: Some(base) };
            let file = Arc::new(FileBytes::Owned(bytes));
            return Ok(Self::from_parts(path, pe::parse(&file, pe::Placement::Memory, expected)?));
        }
        let image = ElfImage::read(module.first_mapping.start, memory)
            .ok_or_else(|| BinaryError::Malformed("there are no headers in memory".into()))?;
        let arch = image.arch.ok_or_else(|| BinaryError::Malformed("it is for another machine".into()))?;
        let info = arch.info();
        let endian = if info.big_endian { RunTimeEndian::Big } else { RunTimeEndian::Little };
        let mut headers = Headers::empty(Some(arch), info.word_bytes, endian);
        headers.segments = image
            .loads
            .into_iter()
            // Which of them may be run is not needed: every one may hold what an address points into.
            .map(|range| Segment { range, file_range: 0..0, executable: true, writable: true })
            .collect();
        headers.entry = image.entry;
        headers.dynamic = image.dynamic;
        headers.eh_frame_header = image.eh_frame_header;
        headers.sframe = image.sframe;
        headers.exception_index = image.exception_index.filter(|_| arch == Arch::Arm);
        headers.build_id = image.build_id;
        let mut copy = LoadedMemory::new(memory, module.bias);
        let found = loaded::find_sections(&headers, module.bias, &mut copy);
        let file = Arc::new(FileBytes::Owned(copy.into_bytes()));
        headers.add_loaded_sections(found, &file);
        Ok(Self::from_parts(path, headers))
    }
}
