//! Bars in groups, two groups side by side: a group for each row of a suite, a bar for each peer, all relative
//! to ours.

use super::Drawing;
use super::scale::{Scale, decades, label, round_down, round_up};
use super::svg::{Svg, WIDTH, width};
use crate::table::number;

/// A chart.
#[derive(Debug)]
pub(super) struct Panel {
    /// What it is about.
    pub(super) title: String,
    /// What a bar is, and which end is the good one.
    pub(super) says: String,
    pub(super) groups: Vec<Group>,
}

/// A row of the report.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    /// What is done, and the unit.
    pub(super) what: String,
    /// Put after each figure; may be empty.
    pub(super) unit: String,
    pub(super) bars: Vec<Bar>,
}

/// One peer of a row.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) role: Role,
    /// Absent if the peer has failed.
    pub(super) figure: Option<Spread>,
}

/// Who a bar is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// What all others are relative to.
    Ours,
    /// Somebody to be compared with.
    Peer,
    /// A yardstick, which nobody competes with.
    Yardstick,
}

/// A figure over all rounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// Relative figures further apart than this need a logarithmic axis.
const LINEAR_MAX: f64 = 8.0;

/// A logarithmic axis with fewer labels than this gets some between the powers of ten.
const LABELS_MIN: usize = 3;

const COLUMN: f64 = 428.0;
/// Where bars begin in a column: peers' names are to the left.
const BARS: f64 = 80.0;
/// What is kept free to the right of the longest bar: figures, and times ours. They stand below each other, so
/// that no line of the grid runs through them.
const FIGURES: f64 = 138.0;
const TIMES: f64 = 54.0;
const BAR: f64 = 17.0;
const HEAD: f64 = 22.0;
const GAP: f64 = 16.0;
const TOP: f64 = 74.0;

/// Draws `panel` as `name`.svg.
pub(super) fn draw(name: &str, panel: &Panel) -> Drawing {
    let scale = scale(&panel.groups);
    let mut svg = Svg::new();
    svg.text(0.0, 18.0, "title", &panel.title);
    let axis = if scale.is_logarithmic() {
        " Logarithmic."
    } else {
        ""
    };
    svg.text(0.0, 38.0, "", &format!("{}{axis}", panel.says));
    let mut top = TOP;
    for pair in panel.groups.chunks(2) {
        let height = pair.iter().map(Group::height).fold(0.0, f64::max);
        for (group, left) in pair.iter().zip([0.0, WIDTH - COLUMN]) {
            if top == TOP {
                ticks(&mut svg, &scale, left);
            }
            group.draw(&mut svg, &scale, left, top);
        }
        top += height + GAP;
    }
    Drawing {
        file: format!("{name}.svg"),
        alt: format!("{}: {}", panel.title, panel.says),
        svg: svg.finish(top, &panel.title),
    }
}

/// One axis for the whole chart, from the left of a column.
fn scale(groups: &[Group]) -> Scale {
    let (from, to) = (BARS, COLUMN - FIGURES);
    let relative = groups.iter().flat_map(|group| {
        let base = group.base();
        let figures = group.bars.iter().filter_map(|bar| bar.figure);
        figures.filter_map(move |figure| Some(figure.median / base?))
    });
    let positive: Vec<f64> = relative.filter(|relative| *relative > 0.0).collect();
    let low = positive.iter().copied().fold(1.0, f64::min);
    let high = positive.iter().copied().fold(1.0, f64::max);
    if high <= LINEAR_MAX && low >= 1.0 / LINEAR_MAX {
        Scale::linear(0.0, high, from, to)
    } else {
        // The shortest bar still is one.
        Scale::logarithmic(round_down(low / 2.0), round_up(high), from, to)
    }
}

/// Where the scale is labelled above the first group of a column; the groups continue these lines.
fn grid(scale: &Scale) -> Vec<f64> {
    if !scale.is_logarithmic() {
        let halves = (0..=2 * LINEAR_MAX as u32).map(|half| f64::from(half) / 2.0);
        return fitting(scale, halves.collect());
    }
    let powers = fitting(scale, decades(1e-6, 1e9));
    // One label tells nothing of how far apart two factors are.
    if powers.len() >= LABELS_MIN {
        return powers;
    }
    fitting(
        scale,
        decades(1e-2, 1.0)
            .into_iter()
            .chain(decades(2.0, 100.0))
            .collect(),
    )
}

/// Those of `wanted` that are on the scale and whose labels do not touch.
fn fitting(scale: &Scale, wanted: Vec<f64>) -> Vec<f64> {
    let apart = |one: f64, other: f64| {
        let widths = width(&tick_label(one)) + width(&tick_label(other));
        (scale.place(one) - scale.place(other)).abs() >= widths / 2.0 + 6.0
    };
    let mut kept: Vec<f64> = Vec::new();
    for tick in wanted {
        let place = scale.place(tick);
        let inside = scale.place(tick * 1.01) > place && scale.place(tick * 0.99) < place;
        // The line of ours is always there, and labels keep apart.
        let free = kept.last().is_none_or(|&last| apart(last, tick)) && apart(1.0, tick);
        if tick == 1.0 || inside && free {
            kept.push(tick);
        }
    }
    kept
}

fn tick_label(tick: f64) -> String {
    format!("{}×", label(tick))
}

fn ticks(svg: &mut Svg, scale: &Scale, left: f64) {
    for tick in grid(scale) {
        let place = left + scale.place(tick);
        svg.text(place, TOP - 8.0, "middle", &tick_label(tick));
    }
}

impl Group {
    fn height(&self) -> f64 {
        HEAD + self.bars.len() as f64 * BAR
    }

    /// What all figures are relative to: ours, or without ours the first one.
    fn base(&self) -> Option<f64> {
        let positive = |bar: &&Bar| bar.figure.is_some_and(|figure| figure.median > 0.0);
        let ours = self.bars.iter().filter(|bar| bar.role == Role::Ours);
        let base = ours.clone().find(positive).or_else(|| {
            let others = ours.count() == 0;
            self.bars.iter().find(|bar| others && positive(bar))
        });
        base.and_then(|bar| bar.figure).map(|figure| figure.median)
    }

    fn draw(&self, svg: &mut Svg, scale: &Scale, left: f64, top: f64) {
        let bottom = top + self.height();
        for tick in grid(scale) {
            let class = if tick == 1.0 { "one" } else { "grid" };
            let x = left + scale.place(tick);
            svg.line((x, top + HEAD - 3.0), (x, bottom), class);
        }
        svg.heading(left, top + 14.0, &self.name, &self.what);
        for (index, bar) in self.bars.iter().enumerate() {
            let y = top + HEAD + index as f64 * BAR;
            bar.draw(svg, scale, (left, y), self.base(), &self.unit);
        }
    }
}

impl Bar {
    fn draw(&self, svg: &mut Svg, scale: &Scale, at: (f64, f64), base: Option<f64>, unit: &str) {
        let (left, top) = at;
        let (ours, baseline) = (self.role == Role::Ours, top + 12.0);
        let class = if ours { "strong end" } else { "end" };
        svg.text(left + BARS - 6.0, baseline, class, &self.name);
        let start = left + BARS;
        let Some(figure) = self.figure else {
            svg.text(start + 4.0, baseline, "", "failed");
            return;
        };
        // Without anything to be relative to, there is only the figure.
        let place = |value: f64| base.map_or(start, |base| left + scale.place(value / base));
        let end = place(figure.median);
        let look = match self.role {
            Role::Ours => "accent",
            Role::Peer => "bar",
            Role::Yardstick => "hollow",
        };
        svg.rect(
            (start, top + 2.0),
            ((end - start).max(1.0), BAR - 5.0),
            look,
        );
        let middle = top + 2.0 + (BAR - 5.0) / 2.0;
        let (low, high) = (place(figure.min), place(figure.max));
        if high - low > 3.0 {
            svg.spread((low, middle), (high, middle), "whisker");
        }
        let says = format!("{} {unit}", number(figure.median));
        svg.text(left + COLUMN - TIMES, baseline, class, says.trim_end());
        if let (false, Some(base)) = (ours, base) {
            let times = times(figure.median / base);
            svg.text(left + COLUMN, baseline, "end", &times);
        }
    }
}

/// `0.46×`, `2.10×`, `21.2×`, `230×`.
fn times(relative: f64) -> String {
    match relative.abs() {
        size if size < 10.0 => format!("{relative:.2}×"),
        size if size < 100.0 => format!("{relative:.1}×"),
        _ => format!("{relative:.0}×"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::svg::tests::assert_well_formed;
    use super::*;

    fn group(figures: &[(&str, Role, Option<f64>)]) -> Group {
        let bar = |&(name, role, median): &(&str, Role, Option<f64>)| Bar {
            name: name.to_string(),
            role,
            figure: median.map(|median| Spread {
                median,
                min: median * 0.9,
                max: median * 1.2,
            }),
        };
        Group {
            name: "chan1 on 2".to_string(),
            what: "a round trip, ns".to_string(),
            unit: "ns".to_string(),
            bars: figures.iter().map(bar).collect(),
        }
    }

    const FIGURES: &[(&str, Role, Option<f64>)] = &[
        ("ours", Role::Ours, Some(50.0)),
        ("tokio", Role::Peer, Some(100.0)),
        ("may", Role::Peer, None),
        ("epoll", Role::Yardstick, Some(25.0)),
    ];

    #[test]
    fn a_chart_of_anything_is_well_formed_and_says_who_failed() {
        let strange = [
            ("ours", Role::Ours, Some(-3.0)),
            ("go", Role::Peer, Some(0.0)),
        ];
        let panel = Panel {
            title: "A & B".to_string(),
            says: "Shorter is better.".to_string(),
            groups: vec![group(FIGURES), group(&strange), group(&[])],
        };
        let drawing = draw("sync", &panel);
        assert_well_formed(&drawing.svg);
        assert_eq!(drawing.file, "sync.svg");
        assert!(drawing.svg.contains(">failed<"));
        for figure in ["100 ns", "2.00×", "0.50×"] {
            assert!(drawing.svg.contains(&format!(">{figure}<")), "{figure}");
        }
        assert!(drawing.svg.contains(">50.0 ns<"));
    }

    #[test]
    fn only_what_is_far_apart_is_drawn_logarithmically() {
        assert!(!scale(&[group(FIGURES)]).is_logarithmic());
        let far = [
            ("ours", Role::Ours, Some(1.0)),
            ("may", Role::Peer, Some(200.0)),
        ];
        let scale = scale(&[group(FIGURES), group(&far)]);
        assert!(scale.is_logarithmic());
        let shares = [0.5, 1.0, 2.0].map(|relative| scale.place(relative));
        assert!(BARS < shares[0] && shares[0] < shares[1] && shares[1] < shares[2]);
        assert!(scale.place(200.0) <= COLUMN - super::FIGURES);
    }

    #[test]
    fn labels_keep_apart_and_ours_is_among_them() {
        let with = |far| {
            let figures = [
                ("ours", Role::Ours, Some(1.0)),
                ("may", Role::Peer, Some(far)),
                ("floor", Role::Yardstick, Some(1.0 / far)),
            ];
            scale(&[group(&figures)])
        };
        for scale in [2.0, 5.0, 9.0, 20.0, 200.0, 5000.0].map(with) {
            let ticks = grid(&scale);
            assert!(ticks.contains(&1.0) && ticks.len() > 2, "{ticks:?}");
            for pair in ticks.windows(2) {
                let [low, high] = [pair[0], pair[1]].map(|tick| {
                    let half = width(&tick_label(tick)) / 2.0;
                    (scale.place(tick) - half, scale.place(tick) + half)
                });
                assert!(low.1 < high.0, "{ticks:?}");
            }
        }
    }

    #[test]
    fn without_ours_all_is_relative_to_the_first() {
        let others = [
            ("tokio", Role::Peer, Some(4.0)),
            ("go", Role::Peer, Some(8.0)),
        ];
        assert_eq!(group(&others).base(), Some(4.0));
        assert_eq!(group(FIGURES).base(), Some(50.0));
        let failed = [("ours", Role::Ours, None), ("go", Role::Peer, Some(8.0))];
        assert_eq!(group(&failed).base(), None);
    }
}
