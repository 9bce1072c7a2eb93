//! Names of very many addresses, which nobody could hold all at once.

use std::sync::Arc;

use prospect_process::LinkAddr;

use super::{
    LineFlags, SourceFrame,
    names::{Names, VERY_MANY},
};
use crate::ModuleBinary;

/// So many addresses are sorted and looked for together.
const WINDOW: usize = 64 << 10;

/// One function at one address, with texts that belong to somebody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameRef<'a> {
    /// The function's name, demangled.
    pub function: Option<&'a str>,
    /// Its name in the object file, as [`SourceFrame::linkage_name`] has it.
    pub linkage_name: Option<&'a str>,
    /// The source file, with its directory where that is known.
    pub file: Option<&'a str>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column, from 1.
    pub column: Option<u32>,
    /// Which of the pieces of code that the line has, from 1.
    pub discriminator: Option<u32>,
    /// What the line table says of the instruction.
    pub line_flags: LineFlags,
    /// Whether this function was inlined into the next one.
    pub inlined: bool,
}

impl<'a> From<&'a SourceFrame> for FrameRef<'a> {
    fn from(frame: &'a SourceFrame) -> Self {
        Self {
            function: frame.function.as_deref(),
            linkage_name: frame.linkage_name.as_deref(),
            file: frame.file.as_deref(),
            line: frame.line,
            column: frame.column,
            discriminator: frame.discriminator,
            line_flags: frame.line_flags,
            inlined: frame.inlined,
        }
    }
}

impl From<&FrameRef<'_>> for SourceFrame {
    fn from(frame: &FrameRef<'_>) -> Self {
        Self {
            function: frame.function.map(str::to_owned),
            linkage_name: frame.linkage_name.map(str::to_owned),
            file: frame.file.map(str::to_owned),
            line: frame.line,
            column: frame.column,
            discriminator: frame.discriminator,
            line_flags: frame.line_flags,
            inlined: frame.inlined,
        }
    }
}

impl ModuleBinary {
    /// Names many addresses of the module, as linked: `visit` is called once for each, with its place in `addresses` and its
    /// frames, which are those of [`resolve`](Self::resolve), named as `names` says. The order of the calls is not that of
    /// `addresses`.
    ///
    /// Nothing is allocated for an answer that an index has, and memory stays bounded however many addresses there are.
    /// Debug information that very many addresses lie in is indexed in memory, if it is not on disk.
    pub fn resolve_each(
        self: &Arc<Self>,
        addresses: &[LinkAddr],
        names: Names,
        mut visit: impl FnMut(usize, &[FrameRef<'_>]),
    ) {
        self.each_with(addresses, names, &mut visit);
    }

    /// Whether there is an index of the debug information in the cache, so that an address is found without reading the
    /// unit that it lies in, if the index has all of that.
    #[must_use]
    pub fn has_index(&self) -> bool {
        self.debug_info().is_some_and(|debug| debug.index.index().is_some())
    }

    pub(super) fn each_with(
        self: &Arc<Self>,
        addresses: &[LinkAddr],
        names: Names,
        visit: &mut dyn FnMut(usize, &[FrameRef<'_>]),
    ) {
        let very_many = addresses.len() >= VERY_MANY;
        let mut left = Vec::new();
        for (window, addresses) in addresses.chunks(WINDOW).enumerate() {
            let mut sorted: Vec<(u64, usize)> =
                addresses.iter().enumerate().map(|(place, at)| (at.0, window * WINDOW + place)).collect();
            sorted.sort_unstable();
            left.clear();
            match self.debug_info() {
                Some(debug) => debug.each(&sorted, names, very_many, visit, &mut left),
                None => left.append(&mut sorted),
            }
            let asked: Vec<LinkAddr> = left.iter().map(|&(at, _)| LinkAddr(at)).collect();
            for (&(_, place), answer) in left.iter().zip(self.resolve_together(&asked, names)) {
                let frames: Vec<FrameRef<'_>> = answer.frames.iter().map(FrameRef::from).collect();
                visit(place, &frames);
            }
        }
    }
}
