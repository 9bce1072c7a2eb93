//! Damaged minidumps: opened, all that they say looked at, their stacks walked.

use prospect_dump::minidump::Minidump;
use prospect_process::{Addr, Process, RegisterSet, Target};
use prospect_stack::{StepContext, Walker};
use prospect_symbols::{Binaries, SearchOptions};
use prospect_testing::{Random, SAMPLES, sample_minidump};

/// A walk is no longer.
const MOST_FRAMES: usize = 64;

/// A minidump that is `data`.
pub fn minidump(data: &[u8]) {
    let _ = walk(data);
}

/// How many frames there are.
fn walk(data: &[u8]) -> usize {
    let Ok(dump) = Minidump::from_bytes(data.to_vec()) else { return 0 };
    let _ = (dump.processes().len(), dump.entry(), dump.facts().clone(), dump.unloaded_modules().len());
    let _ = dump.notices().iter().map(|notice| notice.to_string().len()).sum::<usize>();
    let _ = dump.info().exception.as_ref().map(ToString::to_string);
    let everything = dump.memory().contents(Addr(0)..Addr(u64::MAX));
    let is_in_order = everything.windows(2).all(|pair| pair[0].0.end == pair[1].0.start);
    assert!(is_in_order && everything.iter().all(|(range, _)| range.start < range.end), "{everything:x?}");
    for stream in dump.streams().iter().take(64) {
        let _ = dump.stream_bytes(stream).map(|bytes| bytes.len());
    }
    let binaries = Binaries::new(SearchOptions { names: false, ..SearchOptions::default() });
    let context = StepContext::new(&dump, &binaries);
    let mut walker = Walker::new(dump.info().arch).frame_limit(MOST_FRAMES);
    let mut frames = 0;
    for thread in dump.threads().iter().take(8) {
        let _ = dump.register_set(thread.id, RegisterSet::FLOAT).map(<[u8]>::len);
        let _ = dump.registers_at_dump(thread.id);
        if let Some(registers) = dump.registers(thread.id) {
            frames += walker.walk(&registers, &context).frames.len();
        }
    }
    frames
}

/// A sound minidump of one of the systems.
pub(crate) fn seed(random: &mut Random) -> Vec<u8> {
    sample_minidump(SAMPLES[random.below(SAMPLES.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_sound() {
        for sample in SAMPLES {
            let bytes = sample_minidump(sample);
            assert_eq!(Minidump::from_bytes(bytes.clone()).unwrap().notices(), [], "{sample:?}");
            assert!(walk(&bytes) >= 2);
        }
    }
}
