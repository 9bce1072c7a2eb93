//! A small picture of the address space in a core: which parts of it are there.

use super::{
    core_info::{SegmentReport, short_names},
    info::size_text,
    style::{HEADING, PLACE, PLAIN, Page, Printable, WARNING},
};

/// A longer range without any segment parts two regions.
const GAP_BYTES: u64 = 256 << 20;
/// Of so many regions, no more are drawn.
const MOST_REGIONS: usize = 24;
const WIDEST: usize = 40;

/// Draws each region of the address space as a bar. It is two cells longer for each doubling of its size.
pub(super) fn draw(page: &mut Page, segments: &[SegmentReport<'_>]) {
    let regions = regions(segments);
    if regions.is_empty() {
        return;
    }
    page.end_line();
    page.styled(HEADING, "address space");
    page.styled(PLACE, "  # in the core  0 holes  . left out  ! missing");
    page.end_line();
    for region in regions.iter().take(MOST_REGIONS) {
        let bytes = region.iter().map(SegmentReport::bytes).fold(0, u64::saturating_add);
        let cells = cells(region, bytes);
        page.push(format_args!("  {:016x}  ", region[0].segment.range.start.0));
        let mut rest = cells.as_str();
        while let Some(first) = rest.chars().next() {
            let length = rest.find(|cell| cell != first).unwrap_or(rest.len());
            let style = match first {
                '#' => PLAIN,
                '!' => WARNING,
                _ => PLACE,
            };
            page.styled(style, &rest[..length]);
            rest = &rest[length..];
        }
        let names = short_names(region);
        let more = if names.len() > 3 { format!(", {} more", names.len() - 3) } else { String::new() };
        let names = names[..names.len().min(3)].join(", ") + &more;
        let space = WIDEST + 2 - cells.len();
        page.push(format_args!("{:space$}{:>9}  {}", "", size_text(bytes), Printable(&names)));
        page.end_line();
    }
    if let Some(more @ 1..) = regions.len().checked_sub(MOST_REGIONS) {
        page.push(format_args!("  and {more} more regions\n"));
    }
}

/// Segments that are near each other.
fn regions<'a>(segments: &'a [SegmentReport<'a>]) -> Vec<&'a [SegmentReport<'a>]> {
    let is_near = |one: &SegmentReport<'_>, next: &SegmentReport<'_>| {
        next.segment.range.start.0.saturating_sub(one.segment.range.end.0) <= GAP_BYTES
    };
    segments.chunk_by(is_near).collect()
}

/// What there is in equal parts of a region, `bytes` long without its gaps: what most of each is; a part that misses
/// something says so.
fn cells(region: &[SegmentReport<'_>], bytes: u64) -> String {
    let pages = (bytes >> 12).max(1);
    let width = (2 * (pages.ilog2() as usize + 1)).clamp(2, WIDEST).min(pages.min(WIDEST as u64) as usize);
    let part = bytes.div_ceil(width as u64).max(1);
    // Of each part, the bytes of each kind: `#0.!`.
    let mut sums = vec![[0u64; 4]; width];
    let mut at = 0u64;
    let mut add = |kind: usize, mut length: u64| {
        while length > 0 {
            let index = ((at / part) as usize).min(width - 1);
            let room = (part - at % part).min(length);
            sums[index][kind] += room;
            at += room;
            length -= room;
        }
    };
    for one in region {
        let holes = one.holes.unwrap_or(0).min(one.segment.present);
        // Where in a segment its holes are is not drawn.
        add(0, one.segment.present - holes);
        add(1, holes);
        add(3, one.segment.truncated());
        add(2, one.segment.left_out());
    }
    let cell = |sums: &[u64; 4]| match sums {
        [_, _, _, missing] if *missing > 0 => '!',
        [data, holes, left_out, _] if data >= holes && data >= left_out => '#',
        [_, holes, left_out, _] if holes >= left_out => '0',
        _ => '.',
    };
    sums.iter().map(cell).collect()
}

#[cfg(test)]
mod tests {
    use prospect::{
        dump::elf_core::CoreSegment,
        process::{Addr, Permissions},
    };

    use super::*;

    /// Pages in the core, in its holes among them, dumped but missing, left out.
    fn segment(start: u64, present: u64, holes: u64, missing: u64, left_out: u64) -> SegmentReport<'static> {
        let pages = present + missing + left_out;
        SegmentReport {
            segment: CoreSegment {
                range: Addr(start)..Addr(start + (pages << 12)),
                permissions: Permissions::default(),
                offset: 0,
                dumped: (present + missing) << 12,
                present: present << 12,
            },
            mapping: None,
            holes: Some(holes << 12),
            from_files: 0,
        }
    }

    fn drawn(region: &[SegmentReport<'_>]) -> String {
        cells(region, region.iter().map(SegmentReport::bytes).sum())
    }

    #[test]
    fn parts_show_what_most_of_them_is() {
        assert_eq!(drawn(&[segment(0, 2, 1, 0, 2)]), "#0..");
        assert_eq!(drawn(&[segment(0, 1, 0, 1, 0), segment(0x2000, 1, 1, 0, 0)]), "#!0");
        // The page that is missing lies across the border of two parts.
        assert_eq!(drawn(&[segment(0, 4096, 0, 1, 4095)]), "#".repeat(13) + "!!" + &".".repeat(13));
        assert_eq!(drawn(&[segment(0, 1, 0, 0, 0)]), "#");
        assert_eq!(drawn(&[segment(0, 1 << 30, 0, 0, 0)]).len(), WIDEST);
    }

    #[test]
    fn long_gaps_part_regions() {
        let all = [segment(0, 1, 0, 0, 0), segment(0x10_0000, 1, 0, 0, 0), segment(1 << 40, 1, 0, 0, 0)];
        assert_eq!(regions(&all).iter().map(|region| region.len()).collect::<Vec<_>>(), [2, 1]);
        assert!(regions(&[]).is_empty());
    }
}
