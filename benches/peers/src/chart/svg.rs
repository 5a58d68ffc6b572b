//! A writer of SVG: elements in order, one style for light and dark pages.
//!
//! A page may be dark though the reader's system is light, so each colour can be read on both: the dark
//! scheme only makes them lighter.

use std::fmt::Write;

use crate::peers::Peer;

/// The width of every chart: that of a page's column.
pub(super) const WIDTH: f64 = 880.0;

/// Common to all charts. Nothing is painted behind: the page shows through.
const STYLE: &str = "
text{font:12px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#57606a}
.title{font-size:16px;font-weight:600}.head{font-weight:600}.strong{font-weight:600;fill:#0969da}
.end{text-anchor:end}.middle{text-anchor:middle}
.grid{stroke:#8c959f;stroke-opacity:.3;fill:none}.one{stroke:#57606a;stroke-opacity:.75;fill:none}
.whisker{stroke:#57606a;stroke-width:1.2;fill:none}
.bar{fill:#9aa4ae}.accent{fill:#0969da}.hollow{fill:none;stroke:#6e7781;stroke-dasharray:3 2}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round}.wide{stroke-width:2.8}
.spread{fill:none;stroke-width:1;stroke-opacity:.75}
";

/// What of that is otherwise on a dark page.
const DARK: &str = "\
text{fill:#9ea7b1}.strong{fill:#4b9bf5}.bar{fill:#6b7580}.accent{fill:#3b8cf0}
.one,.whisker{stroke:#9ea7b1}.hollow{stroke:#9ea7b1}
";

/// The colours of lines on a light and on a dark page, told apart by whoever sees fewer colours, too.
const COLOURS: [(&str, &str); 6] = [
    ("#0969da", "#4b9bf5"),
    ("#bc4c00", "#e8783a"),
    ("#0f7b5f", "#2fae8a"),
    ("#a8489b", "#cf78c2"),
    ("#6e7781", "#9ea7b1"),
    ("#8f6f00", "#b8961e"),
];

fn style() -> String {
    let colours = |pick: fn(&(&'static str, &'static str)) -> &'static str| {
        let mut out = String::new();
        for (index, colour) in COLOURS.iter().map(pick).enumerate() {
            let _ = writeln!(
                out,
                ".s{index}{{stroke:{colour}}}.mark.s{index}{{fill:{colour};stroke:none}}"
            );
        }
        out
    };
    let (light, dark) = (colours(|pair| pair.0), colours(|pair| pair.1));
    format!("{STYLE}{light}@media (prefers-color-scheme:dark){{\n{DARK}{dark}}}\n")
}

/// How a peer's line looks: its class, its dashes, its mark. Each differs from all others in more than colour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) class: &'static str,
    pub(super) dashes: &'static str,
    pub(super) mark: Mark,
}

/// What stands at a point of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Disc,
    Square,
    Triangle,
    Diamond,
    Cross,
    Dash,
}

/// The look of a peer, the same in all charts.
pub(super) fn look(peer: Peer) -> Look {
    let (class, dashes, mark) = match peer {
        Peer::Ours => ("s0", "", Mark::Disc),
        Peer::Tokio => ("s1", "7 3", Mark::Square),
        Peer::Go => ("s2", "2 3", Mark::Triangle),
        Peer::May => ("s3", "9 3 2 3", Mark::Diamond),
        Peer::Epoll | Peer::Floor => ("s4", "1 3", Mark::Cross),
        Peer::Monoio => ("s5", "4 2", Mark::Dash),
        Peer::Threads | Peer::Crossbeam | Peer::ParkingLot | Peer::Rayon => {
            ("s5", "12 4", Mark::Cross)
        }
    };
    Look {
        class,
        dashes,
        mark,
    }
}

/// A chart under construction.
#[derive(Debug)]
pub(super) struct Svg {
    body: String,
}

impl Svg {
    pub(super) fn new() -> Svg {
        Svg {
            body: String::new(),
        }
    }

    /// Text whose baseline is at `y`. `class` may be empty.
    pub(super) fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let text = escape(text);
        let _ = writeln!(
            self.body,
            r#"<text x="{x:.1}" y="{y:.1}" class="{class}">{text}</text>"#
        );
    }

    /// A name, and beside it, however wide the name turns out, what is said of it.
    pub(super) fn heading(&mut self, x: f64, y: f64, name: &str, says: &str) {
        let [name, says] = [name, says].map(escape);
        let _ = writeln!(
            self.body,
            r#"<text x="{x:.1}" y="{y:.1}"><tspan class="head">{name}</tspan><tspan dx="9">{says}</tspan></text>"#
        );
    }

    pub(super) fn rect(&mut self, at: (f64, f64), size: (f64, f64), class: &str) {
        let ((x, y), (width, height)) = (at, size);
        let _ = writeln!(
            self.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="2" class="{class}"/>"#
        );
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        self.path(&[from, to], class, "");
    }

    /// A line through all points. `dashes` may be empty.
    pub(super) fn path(&mut self, points: &[(f64, f64)], class: &str, dashes: &str) {
        let mut steps = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let step = if index == 0 { 'M' } else { 'L' };
            let _ = write!(steps, "{step}{x:.1} {y:.1}");
        }
        let dashes = if dashes.is_empty() {
            String::new()
        } else {
            format!(r#" stroke-dasharray="{dashes}""#)
        };
        let _ = writeln!(self.body, r#"<path d="{steps}" class="{class}"{dashes}/>"#);
    }

    /// A thin line from the lowest to the highest figure, with short ends.
    pub(super) fn spread(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((x0, y0), (x1, y1)) = (from, to);
        let flat = (y1 - y0).abs() < (x1 - x0).abs();
        let (dx, dy) = if flat { (0.0, 3.0) } else { (3.0, 0.0) };
        self.line(from, to, class);
        self.line((x0 - dx, y0 - dy), (x0 + dx, y0 + dy), class);
        self.line((x1 - dx, y1 - dy), (x1 + dx, y1 + dy), class);
    }

    pub(super) fn mark(&mut self, mark: Mark, at: (f64, f64), class: &str) {
        let (x, y) = at;
        let shape = match mark {
            Mark::Disc => format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="4""#),
            Mark::Square => polygon(at, &[(-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)]),
            Mark::Triangle => polygon(at, &[(0.0, -4.8), (4.4, 3.4), (-4.4, 3.4)]),
            Mark::Diamond => polygon(at, &[(0.0, -5.0), (5.0, 0.0), (0.0, 5.0), (-5.0, 0.0)]),
            Mark::Cross => polygon(
                at,
                &[
                    (-1.2, -4.5),
                    (1.2, -4.5),
                    (1.2, -1.2),
                    (4.5, -1.2),
                    (4.5, 1.2),
                    (1.2, 1.2),
                    (1.2, 4.5),
                    (-1.2, 4.5),
                    (-1.2, 1.2),
                    (-4.5, 1.2),
                    (-4.5, -1.2),
                    (-1.2, -1.2),
                ],
            ),
            Mark::Dash => polygon(at, &[(-4.5, -2.0), (4.5, -2.0), (4.5, 2.0), (-4.5, 2.0)]),
        };
        let _ = writeln!(self.body, r#"{shape} class="{class} mark"/>"#);
    }

    /// The whole file.
    pub(super) fn finish(self, height: f64, title: &str) -> String {
        let title = escape(title);
        let (body, style) = (self.body, style());
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH:.0}" height="{height:.0}" viewBox="0 0 {WIDTH:.0} {height:.0}" role="img">
<title>{title}</title>
<style>{style}</style>
{body}</svg>
"#
        )
    }
}

/// The beginning of an element: its class is still to come.
fn polygon((x, y): (f64, f64), corners: &[(f64, f64)]) -> String {
    let corners = corners.iter();
    let points: Vec<_> = corners
        .map(|(dx, dy)| format!("{:.1},{:.1}", x + dx, y + dy))
        .collect();
    format!(r#"<polygon points="{}""#, points.join(" "))
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

/// At least the width of a text of 12 px, whatever font the reader has.
pub(super) fn width(text: &str) -> f64 {
    text.chars().count() as f64 * 7.0
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Panics unless all elements of `svg` are closed in order, and no number is none.
    pub(in crate::chart) fn assert_well_formed(svg: &str) {
        let mut open = Vec::new();
        let mut rest = svg;
        while let Some(start) = rest.find('<') {
            let text = &rest[..start];
            assert!(!text.contains('>'), "a stray > in {text:?}");
            let end = rest[start..].find('>').expect("each < has its >") + start;
            let tag = &rest[start + 1..end];
            assert_eq!(tag.matches('"').count() % 2, 0, "quotes of {tag:?}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "what is closed was opened last");
            } else if !tag.ends_with('/') {
                open.push(tag.split([' ', '\n']).next().unwrap_or(tag));
            }
            rest = &rest[end + 1..];
        }
        assert!(open.is_empty(), "left open: {open:?}");
        for entity in svg.split('&').skip(1) {
            let known = ["amp;", "lt;", "gt;"];
            assert!(
                known.iter().any(|known| entity.starts_with(known)),
                "{entity}"
            );
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn all_elements_are_closed_and_texts_cannot_break_out() {
        let mut svg = Svg::new();
        svg.text(1.0, 2.0, "head", "a < b & </text>");
        svg.heading(1.0, 2.0, "R&D", "a > b");
        svg.rect((1.0, 2.0), (3.0, 4.0), "bar");
        svg.path(&[(0.0, 0.0), (1.0, 1.0)], "line", "1 3");
        for mark in [
            Mark::Disc,
            Mark::Square,
            Mark::Triangle,
            Mark::Diamond,
            Mark::Cross,
            Mark::Dash,
        ] {
            svg.mark(mark, (5.0, 5.0), "s0");
        }
        let svg = svg.finish(100.0, "x < y");
        assert_well_formed(&svg);
        assert!(svg.contains("a &lt; b &amp; &lt;/text&gt;"));
    }

    #[test]
    fn peers_that_meet_in_a_chart_differ_in_more_than_colour() {
        let meet = [Peer::Ours, Peer::Tokio, Peer::Go, Peer::May, Peer::Epoll];
        for (index, &one) in meet.iter().enumerate() {
            for &other in &meet[index + 1..] {
                let [one, other] = [one, other].map(look);
                assert_ne!(one.class, other.class);
                assert_ne!(one.dashes, other.dashes);
                assert_ne!(one.mark, other.mark);
            }
        }
    }
}
