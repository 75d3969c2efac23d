//! Areas in proportion to sizes: a squarified treemap (Bruls, Huizing, van Wijk, 2000).

/// A rectangle in per cent of the whole map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Lays out `sizes` (largest first) in a map that is `aspect` times wider than high, one area each, in order.
/// Nothing is laid out when they sum to zero.
pub(super) fn layout(sizes: &[u64], aspect: f64) -> Vec<Area> {
    let total: f64 = sizes.iter().map(|size| *size as f64).sum();
    if total <= 0.0 {
        return Vec::new();
    }
    // In units in which the map is `aspect` wide and 1 high.
    let mut free = Area { left: 0.0, top: 0.0, width: aspect, height: 1.0 };
    let scaled: Vec<f64> = sizes.iter().map(|size| *size as f64 / total * aspect).collect();
    let (mut rest, mut areas) = (scaled.as_slice(), Vec::with_capacity(sizes.len()));
    while !rest.is_empty() {
        let side = free.width.min(free.height);
        let fits = |count: &usize| *count == 1 || worst(&rest[..*count], side) <= worst(&rest[..*count - 1], side);
        let count = (1..=rest.len()).take_while(fits).last().unwrap_or(1);
        areas.extend(place(&rest[..count], &mut free));
        rest = &rest[count..];
    }
    let percent = |area: Area| Area {
        left: area.left / aspect * 100.0,
        top: area.top * 100.0,
        width: area.width / aspect * 100.0,
        height: area.height * 100.0,
    };
    areas.into_iter().map(percent).collect()
}

/// The worst ratio of sides when `row` fills a strip along a side of that length.
fn worst(row: &[f64], side: f64) -> f64 {
    let sum: f64 = row.iter().sum();
    let (largest, smallest) = row.iter().fold((0.0_f64, f64::INFINITY), |(most, least), area| (most.max(*area), least.min(*area)));
    (side * side * largest / (sum * sum)).max(sum * sum / (side * side * smallest))
}

/// Puts `row` along the shorter side of `free` and takes the strip away from it.
fn place(row: &[f64], free: &mut Area) -> Vec<Area> {
    let sum: f64 = row.iter().sum();
    let upright = free.width >= free.height;
    let (side, thick) = if upright { (free.height, sum / free.height) } else { (free.width, sum / free.width) };
    let mut along = 0.0;
    let areas = row.iter().map(|size| {
        let length = if sum > 0.0 { size / sum * side } else { 0.0 };
        let at = along;
        along += length;
        if upright {
            Area { left: free.left, top: free.top + at, width: thick, height: length }
        } else {
            Area { left: free.left + at, top: free.top, width: length, height: thick }
        }
    });
    let areas = areas.collect();
    if upright {
        (free.left, free.width) = (free.left + thick, free.width - thick);
    } else {
        (free.top, free.height) = (free.top + thick, free.height - thick);
    }
    areas
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_gives_nothing() {
        assert!(layout(&[], 2.0).is_empty());
        assert!(layout(&[0, 0], 2.0).is_empty());
    }

    #[test]
    fn one_fills_the_map_and_two_share_it() {
        assert_eq!(layout(&[7], 2.0), [Area { left: 0.0, top: 0.0, width: 100.0, height: 100.0 }]);
        let two = layout(&[3, 1], 2.0);
        assert_eq!((two[0].width, two[1].left, two[1].width), (75.0, 75.0, 25.0));
    }

    proptest! {
        #[test]
        fn areas_are_in_proportion_and_inside_the_map(mut sizes in prop::collection::vec(1_u64..1_000_000_000, 1..60)) {
            sizes.sort_unstable_by(|a, b| b.cmp(a));
            let total: u64 = sizes.iter().sum();
            let areas = layout(&sizes, 2.5);
            prop_assert_eq!(areas.len(), sizes.len());
            for (area, size) in areas.iter().zip(&sizes) {
                let share = *size as f64 / total as f64 * 10_000.0;
                prop_assert!((area.width * area.height - share).abs() < 1e-3 + share * 1e-6, "{area:?} {size}");
                prop_assert!(area.left > -1e-6 && area.top > -1e-6);
                prop_assert!(area.left + area.width < 100.001 && area.top + area.height < 100.001, "{area:?}");
            }
        }

        #[test]
        fn any_sizes_end(sizes in prop::collection::vec(any::<u32>().prop_map(u64::from), 0..40)) {
            let areas = layout(&sizes, 2.0);
            prop_assert!(areas.is_empty() || areas.len() == sizes.len());
        }
    }
}
