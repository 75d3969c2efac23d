//! The picture of an image: one area per package, as large as the package.

use super::html::{Html, say, tag};
use super::treemap::{Area, layout};
use super::{Owner, Report};
use crate::progress::bytes;

/// How many areas the map has; more would be too small to see.
const AREAS: usize = 40;
/// How much wider than high the map is; the style sheet gives it this shape.
const ASPECT: f64 = 2.4;
/// Smallest side of an area that still has room for a label, in per cent of the map.
const READABLE: f64 = 7.0;

/// The map of all packages; the small ones share one area.
pub(super) fn map(report: &Report) -> Html {
    let weighty: Vec<&Owner> = report.owners.iter().filter(|owner| owner.bytes > 0).collect();
    let (shown, hidden) = weighty.split_at(weighty.len().min(AREAS));
    let mut entries: Vec<Cell> = shown.iter().enumerate().map(|(rank, owner)| Cell::of(rank, owner)).collect();
    if !hidden.is_empty() {
        let bytes = hidden.iter().map(|owner| owner.bytes).sum();
        let rest = Cell { shade: "rest".to_owned(), name: format!("{} others", hidden.len()), bytes };
        entries.insert(entries.partition_point(|cell| cell.bytes >= bytes), rest);
    }
    let sizes: Vec<u64> = entries.iter().map(|cell| cell.bytes).collect();
    let cells = entries.iter().zip(layout(&sizes, ASPECT)).map(|(cell, area)| cell.draw(area));
    tag("div", &[("class", "map"), ("role", "img"), ("aria-label", "Map of the image: the area of each package is its size")], cells)
}

struct Cell {
    shade: String,
    name: String,
    bytes: u64,
}

impl Cell {
    fn of(rank: usize, owner: &Owner) -> Self {
        // Shades go from strong to faint with the rank; the style sheet has six of them.
        Self { shade: format!("s{}", (rank / 2).min(5)), name: owner.name.clone(), bytes: owner.bytes }
    }

    fn draw(&self, area: Area) -> Html {
        let style = format!("left:{:.3}%;top:{:.3}%;width:{:.3}%;height:{:.3}%", area.left, area.top, area.width, area.height);
        let label = format!("{}, {}", self.name, bytes(self.bytes));
        let readable = area.width > READABLE && area.height > READABLE;
        let content = readable.then(|| [say("b", "", &self.name), say("span", "", bytes(self.bytes))]);
        tag("div", &[("class", &self.shade), ("style", &style), ("title", &label)], content.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Manifest, Origin, fixture};

    fn drawn(owners: usize) -> String {
        let file = |number: usize| {
            let origin = Origin::Package { name: format!("p{number}") };
            fixture::data(&format!("/f{number:04}"), u64::MAX >> (4 + number), origin)
        };
        let manifest = Manifest { files: (0..owners).map(file).collect(), ..fixture::manifest() };
        map(&Report::new(&manifest, Vec::new())).into_string()
    }

    #[test]
    fn small_owners_share_one_area() {
        assert_eq!(drawn(AREAS).matches("<div").count(), AREAS + 1);
        assert!(!drawn(AREAS).contains("others"));
        assert_eq!(drawn(AREAS + 9).matches("<div").count(), AREAS + 2);
        assert!(drawn(AREAS + 9).contains("title=\"9 others, "));
    }

    #[test]
    fn only_large_areas_are_labelled() {
        assert!(drawn(1).contains("<b>p0</b>"));
        assert!(drawn(20).contains("<b>p1</b>") && !drawn(20).contains("<b>p15</b>"));
        assert_eq!(drawn(0).matches("<div").count(), 1);
    }
}
