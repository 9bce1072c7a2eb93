//! Writes indexes: all of one when that is asked for, and after a run what the run has touched.

use std::{
    io::{self, BufWriter, Seek as _, SeekFrom, Write as _},
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    super::{DebugInfo, fuel::Tank},
    build,
    definitions::DefinitionTable,
    layout::{LayoutWriter, UnitState},
    map::Map,
    opened::Index,
    slot::Place,
};
use crate::parallel;

/// After a run, no more bytes of debug information than these are indexed: that takes some ten milliseconds.
const MOST_AFTER_A_RUN: usize = 2 << 20;

/// Why there is no index of a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// No directory was named to keep it in, or it is not one where nobody else can write.
    #[error("there is no cache directory to keep an index in")]
    NoCache,
    /// The file has no debug information.
    #[error("it has no debug information")]
    NoDebugInfo,
    /// Its debug information is of a kind that is not indexed: no build-id names the file, it shares debug information with
    /// other files (dwz), or it is broken.
    #[error("its debug information cannot be indexed: {0}")]
    Impossible(&'static str),
    /// It could not be written.
    #[error("cannot write the index: {0}")]
    Write(#[source] io::Error),
}

/// How far the building of an index is, in bytes of debug information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexProgress {
    /// What was indexed.
    pub done: u64,
    /// What there is.
    pub total: u64,
}

/// An index that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexReport {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// How many units it has.
    pub units: usize,
    /// How many units cannot be indexed (split DWARF, broken ones): they are read as without an index.
    pub left_out: usize,
}

/// The parts that an index is to have: those that there were before, and those of the units that are wanted.
struct Parts<'a> {
    before: Option<&'a Index>,
    wanted: &'a [usize],
}

impl DebugInfo {
    /// Builds the whole index and writes it.
    pub(crate) fn build_index(
        &self,
        progress: &(dyn Fn(IndexProgress) + Sync),
    ) -> Result<IndexReport, IndexError> {
        let place = self.index.place.as_ref().ok_or(match self.main.binary.build_id() {
            Some(_) => IndexError::NoCache,
            None => IndexError::Impossible("no build-id names the file"),
        })?;
        if self.supplementary.is_some() {
            return Err(IndexError::Impossible("it shares debug information with other files"));
        }
        if !place.cache.indexes().is_writable() {
            return Err(IndexError::NoCache);
        }
        let tank = Tank::for_size(self.main.sections().size());
        let map = Map::build(self, &mut tank.fuel()).ok_or(IndexError::Impossible("it is broken"))?;
        let wanted: Vec<usize> = (0..map.units.len()).collect();
        let parts = Parts { before: None, wanted: &wanted };
        let definitions = place.open().map(|before| before.definitions().clone()).unwrap_or_default();
        self.write_index(place, &map, &parts, &definitions, progress).map_err(IndexError::Write)
    }

    /// Adds to the index what was touched since, as far as that is soon done.
    pub(crate) fn store_index(&self) {
        let (touched, sought) = (self.index.take_touched(), self.index.take_sought());
        let Some(place) = self.index.place.as_ref().filter(|_| self.supplementary.is_none()) else { return };
        if self.index.is_stale() {
            place.cache.indexes().touch(&place.key.file_name());
        }
        if touched.is_empty() && sought.is_empty() || !place.cache.indexes().is_writable() {
            return;
        }
        // Others may have written since.
        let before = place.open();
        let is_missing = |start: &usize| {
            let known = before.as_ref().and_then(|index| index.state(*start));
            known.is_none_or(|state| *state == UnitState::Missing)
        };
        let missing = touched.into_iter().filter(is_missing);
        let mut wanted: Vec<(usize, usize)> = missing.map(|start| (self.unit_size(start), start)).collect();
        wanted.sort_unstable();
        let mut left = MOST_AFTER_A_RUN;
        wanted.retain(|&(size, _)| {
            let fits = size <= left;
            left -= if fits { size } else { 0 };
            fits
        });
        let mut definitions = before.as_ref().map(|index| index.definitions().clone()).unwrap_or_default();
        if !definitions.extend(sought) && wanted.is_empty() {
            return;
        }
        // It is of all of the file: that of before is still true.
        let known = before.as_ref().and_then(Index::map);
        let before = before.filter(|_| known.is_some());
        let tank = Tank::for_size(self.main.sections().size());
        let Some(map) = known.or_else(|| Map::build(self, &mut tank.fuel())) else { return };
        let numbers = wanted.iter().filter_map(|(_, start)| map.units.binary_search(start).ok());
        let parts = Parts { before: before.as_ref(), wanted: &numbers.collect::<Vec<_>>() };
        let _ = self.write_index(place, &map, &parts, &definitions, &|_| {});
    }

    /// Writes an index.
    fn write_index(
        &self,
        place: &Place,
        map: &Map,
        &Parts { before, wanted }: &Parts<'_>,
        definitions: &DefinitionTable,
        progress: &(dyn Fn(IndexProgress) + Sync),
    ) -> io::Result<IndexReport> {
        let folder = place.cache.indexes();
        let name = place.key.file_name();
        let mut report = IndexReport { path: folder.file(&name), size: 0, units: wanted.len(), left_out: 0 };
        folder.write_slowly(&name, |file| {
            let output = BufWriter::with_capacity(256 << 10, file);
            let mut writer = LayoutWriter::new(output, &map.units, place.cache.largest())?;
            for (number, (_, state)) in before.map_or(&[][..], Index::units).iter().enumerate() {
                match before.and_then(|index| index.part_bytes(state)) {
                    Some(part) => writer.part(number, Some(part))?,
                    None if *state == UnitState::Impossible => writer.part(number, None)?,
                    None => {}
                }
            }
            let writer = self.add_parts(writer, map, wanted, progress, &mut report.left_out)?;
            let (output, header) = writer.finish(map, definitions, &place.key)?;
            let file = output.into_inner().map_err(io::IntoInnerError::into_error)?;
            report.size = file.stream_position()?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&header)
        })?;
        Ok(report)
    }

    /// Makes the parts of the units `wanted`, on all processors, and writes each as soon as it is made.
    fn add_parts<W: io::Write + Send>(
        &self,
        writer: LayoutWriter<W>,
        map: &Map,
        wanted: &[usize],
        progress: &(dyn Fn(IndexProgress) + Sync),
        left_out: &mut usize,
    ) -> io::Result<LayoutWriter<W>> {
        let jobs: Vec<(usize, usize)> =
            wanted.iter().map(|&unit| (self.unit_size(map.units[unit]), unit)).collect();
        let total = jobs.iter().map(|(size, _)| *size as u64).sum();
        let done = AtomicU64::new(0);
        let writer = Mutex::new(writer);
        let tank = Tank::for_size(self.main.sections().size());
        let results = parallel::run(&jobs, |&unit| {
            let part = build::part(self, map.units[unit], &mut tank.fuel());
            let result = writer.lock().unwrap_or_else(PoisonError::into_inner).part(unit, part.as_deref());
            let size = self.unit_size(map.units[unit]) as u64;
            progress(IndexProgress { done: done.fetch_add(size, Ordering::Relaxed) + size, total });
            result.map(|()| part.is_none())
        });
        for result in results {
            *left_out += usize::from(result?);
        }
        Ok(writer.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}
